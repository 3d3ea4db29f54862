#include "mount/own_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "mount/nodes.h"

namespace forebay {
namespace {

using Reply = OwnFiles::Reply;

Reply Failed(int error) {
  return {.error = error, .body = {}};
}

Reply Bytes(std::vector<std::byte> body) {
  return {.error = 0, .body = std::move(body)};
}

std::string PathOf(std::string_view name) {
  std::string path(OwnFiles::kDirectory);
  path += '/';
  path += name;
  return path;
}

}  // namespace

bool OwnFiles::Concerns(const Request& request) {
  if (std::holds_alternative<StatFsCall>(request.call)) return false;
  if (IsOwn(request.node)) return true;
  const auto* const lookup = std::get_if<LookupCall>(&request.call);
  return lookup != nullptr && request.node == kRootNode && lookup->name == kDirectory;
}

const OwnFiles::Text* OwnFiles::FindText(std::uint64_t node) const {
  const std::uint64_t place = node - kFirstNode - 1;
  return node > kFirstNode && place < texts_.size() ? &texts_[place] : nullptr;
}

NodeReply OwnFiles::ReplyOf(std::uint64_t node) const {
  const Text* const text = FindText(node);
  Attributes attributes{.type = FileType::kDirectory, .version = ""};
  if (text != nullptr) {
    attributes.type = FileType::kFile;
    attributes.size = text->make().size();
  }
  return {.node = node,
          .ino = InodeOf(text == nullptr ? std::string(kDirectory) : PathOf(text->name)),
          .attributes = std::move(attributes)};
}

Reply OwnFiles::LookUp(std::uint64_t directory, std::string_view name) const {
  if (!IsOwn(directory)) return Bytes(EncodeEntry(ReplyOf(kFirstNode), ownership_));
  if (directory != kFirstNode) return Failed(ENOTDIR);
  const auto found = std::ranges::find(texts_, name, &Text::name);
  if (found == texts_.end()) return Failed(ENOENT);
  const auto place = static_cast<std::uint64_t>(found - texts_.begin());
  return Bytes(EncodeEntry(ReplyOf(kFirstNode + 1 + place), ownership_));
}

Reply OwnFiles::Open(const Request& request, const OpenCall& call) {
  if ((call.flags & O_ACCMODE) != O_RDONLY) return Failed(EROFS);
  const Text* const text = FindText(request.node);
  if (text == nullptr) return Failed(EISDIR);
  return Bytes(EncodeOpen(
      {.handle = open_.Add(std::make_shared<const std::string>(text->make())), .is_direct = true}));
}

Reply OwnFiles::Read(const Request& request, const ReadCall& call) {
  std::shared_ptr<const std::string> content = open_.Find(call.handle);
  if (content == nullptr) {
    const Text* const text = FindText(request.node);
    if (text == nullptr) return Failed(EISDIR);
    content = open_.Restore(call.handle, std::make_shared<const std::string>(text->make()));
  }
  const std::size_t begin = std::min<std::uint64_t>(call.offset, content->size());
  const auto part = std::as_bytes(std::span(std::string_view(*content).substr(begin, call.size)));
  return Bytes({part.begin(), part.end()});
}

Reply OwnFiles::List(const ReadDirectoryCall& call) const {
  DirectoryReply reply(std::min(call.size, kRequestBytesMax));
  const auto add = [&](std::string_view name, const std::string& path, bool is_directory,
                       std::uint64_t offset) {
    if (offset <= call.offset) return true;
    return reply.AddName(
        name, {.ino = InodeOf(path), .is_directory = is_directory, .offset = offset}, call.plus);
  };
  std::uint64_t offset = 0;
  bool fits = add(".", std::string(kDirectory), true, ++offset);
  fits = fits && add("..", "", true, ++offset);
  for (const Text& text : texts_) {
    fits = fits && add(text.name, PathOf(text.name), false, ++offset);
  }
  return Bytes(std::move(reply).Take());
}

struct OwnFiles::Dispatch {
  OwnFiles& own;
  const Request& request;

  Reply operator()(const LookupCall& call) { return own.LookUp(request.node, call.name); }
  Reply operator()(const GetAttributesCall&) {
    const bool is_known = request.node == kFirstNode || own.FindText(request.node) != nullptr;
    if (!is_known) return Failed(ESTALE);
    return Bytes(EncodeAttributes(own.ReplyOf(request.node), own.ownership_));
  }
  Reply operator()(const OpenCall& call) { return own.Open(request, call); }
  Reply operator()(const ReadCall& call) { return own.Read(request, call); }
  Reply operator()(const ReleaseCall& call) {
    own.open_.Remove(call.handle);
    return {};
  }
  Reply operator()(const OpenDirectoryCall&) {
    return request.node == kFirstNode ? Bytes(EncodeOpen({})) : Failed(ENOTDIR);
  }
  Reply operator()(const ReadDirectoryCall& call) { return own.List(call); }
  Reply operator()(const ReleaseDirectoryCall&) { return {}; }
  Reply operator()(const GetXattrCall&) { return Failed(ENODATA); }
  Reply operator()(const ListXattrCall& call) {
    return call.size == 0 ? Bytes(EncodeXattrSize(0)) : Reply{};
  }
  Reply operator()(const AccessCall& call) { return Failed((call.mask & W_OK) != 0 ? EROFS : 0); }
  Reply operator()(const ChangeCall&) { return Failed(EROFS); }
  Reply operator()(const MalformedCall&) { return Failed(EINVAL); }
  Reply operator()(const auto&) { return Failed(ENOSYS); }
};

Reply OwnFiles::Handle(const Request& request) {
  return std::visit(Dispatch{*this, request}, request.call);
}

}  // namespace forebay
