// Runs a fuzz target without libFuzzer: on every file of a directory, on every short prefix of it,
// and on seeded changes of it. Keeps the corpus alive in every build; the search is libFuzzer's.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace forebay {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A copy of exactly the right size, so that AddressSanitizer sees a read of one byte too many.
void RunOne(std::span<const std::uint8_t> input) {
  const Bytes copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

void RunChanges(const Bytes& input, std::uint64_t seed) {
  constexpr std::size_t kPrefixesMax = 512;
  constexpr int kChanges = 256;
  const std::span<const std::uint8_t> whole(input);
  RunOne(whole);
  for (std::size_t size = 0; size < std::min(whole.size(), kPrefixesMax); ++size) {
    RunOne(whole.first(size));
  }
  Rng rng(seed);
  for (int i = 0; i < kChanges && !input.empty(); ++i) {
    Bytes changed = input;
    for (std::uint64_t flips = 1 + rng.Below(4); flips > 0; --flips) {
      changed[rng.Below(changed.size())] = static_cast<std::uint8_t>(rng.Below(256));
    }
    RunOne(changed);
  }
}

int Replay(const char* directory) {
  std::uint64_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const Bytes input{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    RunChanges(input, files++);
  }
  std::printf("%s: %ju inputs\n", directory, static_cast<std::uintmax_t>(files));
  return files > 0 ? 0 : 1;  // A target without inputs tests nothing.
}

}  // namespace
}  // namespace forebay

int main(int count, char** arguments) {
  return count == 2 ? forebay::Replay(arguments[1]) : 2;
}
