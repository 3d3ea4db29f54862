// OwnFiles: the directory `.forebay` at a mount's root, in which the mount tells about itself.
//
// It opens by name and stands in no listing. What the store has under that name at the root is
// hidden by it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mount/handles.h"
#include "mount/reply.h"
#include "mount/request.h"

namespace forebay {

// Thread safety: safe. Nothing here blocks but what makes a text.
class OwnFiles {
 public:
  static constexpr std::string_view kDirectory = ".forebay";
  // The numbers of its nodes: the directory's, then the files'. Those of a NodeTable never get
  // there, so they mean the same to every process that serves the mount.
  static constexpr std::uint64_t kFirstNode = std::uint64_t{1} << 63;

  struct Text {
    std::string name;
    std::function<std::string()> make;  // What the file holds now.
  };

  // `first_handle` is where numbers of handles begin.
  OwnFiles(std::vector<Text> texts, const Ownership& ownership, std::uint64_t first_handle)
      : texts_(std::move(texts)), ownership_(ownership), open_(first_handle) {}

  static bool IsOwn(std::uint64_t node) { return node >= kFirstNode; }
  // Whether `request` is about one of its nodes, or looks the directory up.
  static bool Concerns(const Request& request);

  // An errno, or the bytes of an answer.
  struct Reply {
    int error = 0;
    std::vector<std::byte> body;
  };
  // `request` concerns it. A file holds what it held when it was opened; if another process did
  // that, then what it holds at the first read here.
  Reply Handle(const Request& request);

 private:
  struct Dispatch;

  // Null: no such file.
  const Text* FindText(std::uint64_t node) const;
  NodeReply ReplyOf(std::uint64_t node) const;
  Reply LookUp(std::uint64_t directory, std::string_view name) const;
  Reply Open(const Request& request, const OpenCall& call);
  Reply Read(const Request& request, const ReadCall& call);
  Reply List(const ReadDirectoryCall& call) const;

  const std::vector<Text> texts_;
  const Ownership ownership_;
  Handles<const std::string> open_;
};

}  // namespace forebay
