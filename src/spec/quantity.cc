#include "spec/quantity.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

namespace forebay {
namespace {

using Wide = unsigned __int128;

struct Suffix {
  std::string_view name;
  std::uint64_t times = 1;
  std::uint64_t divided_by = 1;
};

constexpr std::uint64_t kThousand = 1000;
constexpr std::uint64_t Power(std::uint64_t base, int exponent) {
  return exponent == 0 ? 1 : base * Power(base, exponent - 1);
}
constexpr std::array<Suffix, 16> kSuffixes = {{{""},
                                               {"n", 1, Power(kThousand, 3)},
                                               {"u", 1, Power(kThousand, 2)},
                                               {"m", 1, kThousand},
                                               {"k", kThousand},
                                               {"K", kThousand},
                                               {"M", Power(kThousand, 2)},
                                               {"G", Power(kThousand, 3)},
                                               {"T", Power(kThousand, 4)},
                                               {"P", Power(kThousand, 5)},
                                               {"E", Power(kThousand, 6)},
                                               {"Ki", Power(1024, 1)},
                                               {"Mi", Power(1024, 2)},
                                               {"Gi", Power(1024, 3)},
                                               {"Ti", Power(1024, 4)},
                                               {"Pi", Power(1024, 5)}}};

std::optional<Suffix> SuffixNamed(std::string_view name) {
  if (name == "Ei") return Suffix{"Ei", Power(1024, 6)};
  if (name.size() > 1 && name.ends_with('B')) name.remove_suffix(1);
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.name == name) return suffix;
  }
  constexpr int kExponentMax = 18;
  if (name.size() < 2 || (name[0] != 'e' && name[0] != 'E')) return std::nullopt;
  name.remove_prefix(name[1] == '+' ? 2 : 1);
  int exponent = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), exponent);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  if (exponent < -kExponentMax || exponent > kExponentMax) return std::nullopt;
  if (exponent < 0) return Suffix{"", 1, Power(10, -exponent)};
  return Suffix{"", Power(10, exponent)};
}

struct Digits {
  std::uint64_t value = 0;
  std::uint64_t divided_by = 1;
};

// Takes "1", "1.5" or ".5" from the front of `text`; at most 18 digits.
std::optional<Digits> TakeDigits(std::string_view& text) {
  constexpr int kDigitsMax = 18;
  Digits digits;
  bool point = false;
  int count = 0;
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text.front();
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      if (++count > kDigitsMax) return std::nullopt;
      digits.value = digits.value * 10 + static_cast<std::uint64_t>(c - '0');
      if (point) digits.divided_by *= 10;
    } else {
      break;
    }
  }
  if (count == 0) return std::nullopt;
  return digits;
}

}  // namespace

Result<std::uint64_t> ParseQuantity(std::string_view text) {
  constexpr std::uint64_t kMax = (1ull << 63) - 1;
  std::string_view rest = text;
  const std::optional<Digits> digits = TakeDigits(rest);
  const std::optional<Suffix> suffix = digits ? SuffixNamed(rest) : std::nullopt;
  if (suffix) {
    const Wide divisor = Wide(digits->divided_by) * suffix->divided_by;
    const Wide bytes = (Wide(digits->value) * suffix->times + divisor - 1) / divisor;
    if (bytes <= kMax) return static_cast<std::uint64_t>(bytes);
  }
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\": not a size; write 40Gi, 500M or 4096 (bytes)", text));
}

}  // namespace forebay
