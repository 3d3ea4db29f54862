#include <string_view>

#include "control/loads.h"

namespace forebay {
namespace {

// Whether `text` matches `glob` as a whole. Linear in the text for each '*'.
bool GlobMatches(std::string_view glob, std::string_view text) {
  while (!glob.empty()) {
    if (glob.front() == '*') {
      const bool across = glob.starts_with("**");
      glob.remove_prefix(across ? 2 : 1);
      for (std::size_t taken = 0;; ++taken) {
        if (GlobMatches(glob, text.substr(taken))) return true;
        if (taken == text.size() || (!across && text[taken] == '/')) return false;
      }
    }
    if (text.empty()) return false;
    if (glob.front() == '?' ? text.front() == '/' : glob.front() != text.front()) return false;
    glob.remove_prefix(1);
    text.remove_prefix(1);
  }
  return text.empty();
}

std::string_view Trimmed(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

}  // namespace

bool PatternMatches(const std::string& pattern, const std::string& path) {
  const std::string_view wanted = Trimmed(pattern);
  // As it is written first: a name may well hold a star.
  if (wanted.empty() || path == wanted) return true;
  if (path.size() > wanted.size() && path.starts_with(wanted) && path[wanted.size()] == '/') {
    return true;
  }
  // A glob means a file, or a directory with all that is in it.
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    if (GlobMatches(wanted, std::string_view(path).substr(0, end))) return true;
    if (end == std::string::npos) return false;
  }
}

}  // namespace forebay
