// Mix64 and SplitMix64: the only randomness in Forebay, always from a seed that is passed in.
//
// Fixed 64-bit arithmetic, the same on every machine, compiler and release.
// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
#pragma once

#include <cstdint>

namespace forebay {

// The SplitMix64 finalizer: a bijection in which every input bit moves about half the output bits.
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Thread safety: none; give every thread its own.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() { return Mix64(state_ += 0x9e3779b97f4a7c15u); }

  // A number in [0, bound). `bound` > 0. The bias, below bound / 2^64, does not matter to us.
  std::uint64_t Below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

  // True in `numerator` of `denominator` cases.
  bool Chance(std::uint64_t numerator, std::uint64_t denominator) {
    return Below(denominator) < numerator;
  }

 private:
  std::uint64_t state_;
};

}  // namespace forebay
