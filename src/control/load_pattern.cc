#include <string_view>
#include <vector>

#include "control/loads.h"

namespace forebay {
namespace {

// Where in a glob one may be after some text, all at once: so no glob takes longer than its length
// times that of the text.
class Glob {
 public:
  explicit Glob(std::string_view glob) : glob_(glob), at_(glob.size() + 1), next_(glob.size() + 1) {
    Enter(at_, 0);
  }

  void Take(char c) {
    next_.assign(next_.size(), false);
    for (std::size_t i = 0; i < glob_.size(); ++i) {
      if (!at_[i]) continue;
      if (glob_[i] == '*') {
        if (c != '/' || StarsAt(i) == 2) Enter(next_, i);
      } else if (glob_[i] == '?' ? c != '/' : c == glob_[i]) {
        Enter(next_, i + 1);
      }
    }
    at_.swap(next_);
  }

  bool Matches() const { return at_.back(); }

 private:
  std::size_t StarsAt(std::size_t i) const { return glob_.substr(i).starts_with("**") ? 2 : 1; }
  // Stars may stand for nothing.
  void Enter(std::vector<bool>& places, std::size_t i) const {
    places[i] = true;
    while (i < glob_.size() && glob_[i] == '*') places[i += StarsAt(i)] = true;
  }

  const std::string_view glob_;
  std::vector<bool> at_;
  std::vector<bool> next_;
};

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
  Glob glob(wanted);
  for (const char c : path) {
    if (c == '/' && glob.Matches()) return true;
    glob.Take(c);
  }
  return glob.Matches();
}

}  // namespace forebay
