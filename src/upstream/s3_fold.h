// From the keys of a listing to the names of a tree.
//
// S3 lists keys in byte order, a common prefix with its '/' at the end: "a", "a-b", "a.c", "a/". A
// tree's names are in byte order without it, and its page borders must not tear "a" and "a/" apart.
// So a directory "a" can still be to come when "a-b" is the last key of a page. Those directories
// are few: the name of one is a prefix of the last key, before a byte below '/'. The caller asks
// for each, once, when the border is reached; later pages pass them over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "upstream/s3_xml.h"
#include "upstream/upstream.h"

namespace forebay {

// Where a page ended: what ListPage::next holds.
struct PageBorder {
  std::string last;   // The last key of the page, below its directory; "" before the first page.
  std::string token;  // The store's continuation token; may be empty.
};

std::string EncodeBorder(const PageBorder& border);
// Errors: kInvalidArgument: not from EncodeBorder.
Result<PageBorder> DecodeBorder(const std::string& text);

// Names of directories that may come after key `last` though they sort before it, shortest first,
// leaving out those that were pending at `previous` already.
std::vector<std::string> PendingDirectories(std::string_view last, std::string_view previous);

// True if directory `name` was shown or ruled out at border `last`.
bool WasPending(std::string_view name, std::string_view last);

// One page: the names directly below `directory`, in byte order, a directory winning over a file.
// `found` are directories that were asked for at this page's end. ListPage::next is left empty.
// Errors: kUnavailable: a key that is not below `directory`.
Result<ListPage> FoldPage(const S3Listing& listing, const std::string& directory,
                          const PageBorder& previous, const std::vector<std::string>& found);

// The last of all keys and prefixes of `listing`, below `directory`.
std::string LastKey(const S3Listing& listing, const std::string& directory);

}  // namespace forebay
