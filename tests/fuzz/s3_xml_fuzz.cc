// What a store may answer to a listing, or as an error: any bytes. A listing that parses folds into
// a page of a tree, or is refused.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "upstream/s3_fold.h"
#include "upstream/s3_xml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view xml(reinterpret_cast<const char*>(data), size);
  static_cast<void>(forebay::ParseS3Error(xml));
  const auto listing = forebay::ParseListing(xml);
  if (!listing.ok()) return 0;
  const auto page = forebay::FoldPage(listing.value(), "", {}, {});
  if (!page.ok()) return 0;
  std::string previous;
  for (const forebay::Entry& entry : page.value().entries) {
    CHECK(!entry.name.empty() && entry.name != "." && entry.name != "..");
    CHECK(entry.name.find('/') == std::string::npos);
    CHECK(previous < entry.name);
    previous = entry.name;
  }
  return 0;
}
