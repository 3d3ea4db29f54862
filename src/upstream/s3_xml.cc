#include "upstream/s3_xml.h"

#include <fmt/format.h>

#include <charconv>
#include <pugixml.hpp>

#include "upstream/http_date.h"
#include "upstream/percent.h"

namespace forebay {
namespace {

Error NotAListing(std::string_view why) {
  return {Code::kUnavailable, fmt::format("the store's answer is not an S3 listing: {}", why)};
}

Result<pugi::xml_node> ParseRoot(std::string_view xml, pugi::xml_document& document) {
  if (xml.size() > kXmlBytesMax) return NotAListing("longer than 32 MiB");
  // pugixml expands no entities of its own accord; a document that declares some wants us to.
  if (xml.find("<!DOCTYPE") != std::string_view::npos ||
      xml.find("<!ENTITY") != std::string_view::npos) {
    return NotAListing("it has a document type declaration");
  }
  const pugi::xml_parse_result parsed =
      document.load_buffer(xml.data(), xml.size(),
                           pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
  if (!parsed) return NotAListing(parsed.description());
  return document.document_element();
}

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The key in element `name` of `node`; nothing if there is none, or a broken one.
std::optional<std::string> KeyIn(const pugi::xml_node& node, const char* name, bool is_encoded) {
  const pugi::xml_node child = node.child(name);
  if (!child) return std::nullopt;
  const char* text = child.text().get();
  return is_encoded ? DecodeListedKey(text) : std::optional<std::string>(text);
}

}  // namespace

std::optional<S3Error> ParseS3Error(std::string_view xml) {
  pugi::xml_document document;
  const Result<pugi::xml_node> root = ParseRoot(xml, document);
  if (!root.ok() || std::string_view(root.value().name()) != "Error") return std::nullopt;
  const pugi::xml_node& error = root.value();
  return S3Error{.code = error.child("Code").text().get(),
                 .message = error.child("Message").text().get(),
                 .region = error.child("Region").text().get()};
}

Result<S3Listing> ParseListing(std::string_view xml) {
  pugi::xml_document document;
  const Result<pugi::xml_node> parsed = ParseRoot(xml, document);
  if (!parsed.ok()) return parsed.error();
  const pugi::xml_node& root = parsed.value();
  if (std::string_view(root.name()) != "ListBucketResult") {
    return NotAListing(fmt::format("it is <{}>", std::string_view(root.name()).substr(0, 64)));
  }
  const bool is_encoded = std::string_view(root.child("EncodingType").text().get()) == "url";
  S3Listing listing;
  for (const pugi::xml_node& contents : root.children("Contents")) {
    std::optional<std::string> key = KeyIn(contents, "Key", is_encoded);
    const std::optional<std::uint64_t> size = ParseNumber(contents.child("Size").text().get());
    if (!key || !size) return NotAListing("an entry without a key or a size");
    listing.objects.push_back(
        {.key = *std::move(key),
         .etag = contents.child("ETag").text().get(),
         .modified_seconds = ParseIsoTime(contents.child("LastModified").text().get()),
         .size = *size});
  }
  for (const pugi::xml_node& prefixes : root.children("CommonPrefixes")) {
    std::optional<std::string> prefix = KeyIn(prefixes, "Prefix", is_encoded);
    if (!prefix) return NotAListing("a common prefix without a value");
    listing.common_prefixes.push_back(*std::move(prefix));
  }
  listing.truncated = std::string_view(root.child("IsTruncated").text().get()) == "true";
  listing.continuation_token = root.child("NextContinuationToken").text().get();
  return listing;
}

}  // namespace forebay
