// What documents mean here, field by field: for people who wrote them for somewhere else.
#pragma once

#include <string>
#include <vector>

#include "spec/document.h"

namespace forebay {

struct Explanation {
  enum class Level : unsigned char {
    kOk,           // Does what it says, or nothing is lost by ignoring it.
    kWarning,      // Does something else than its author may think.
    kUnsupported,  // Cannot be honoured here.
  };

  std::string document;  // As Document::where.
  std::string path;      // "spec.mounts[0].mountPoint".
  std::string value;     // As written; "***" if it may be a secret; a default as it applies.
  std::string meaning;
  Level level = Level::kOk;
  std::string remedy;  // What to write or do instead; empty where nothing is wrong.
};

// "ok", "warning", "unsupported".
std::string_view LevelName(Explanation::Level level);

// A row for every field written, in the order written, then for every default that applies, then
// for what was left out with a warning; document by document.
std::vector<Explanation> Explain(const ParsedDocuments& parsed);

}  // namespace forebay
