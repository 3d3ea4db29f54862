// Does, on purpose, what each sanitizer must stop: `sanitizer_probe address|undefined|thread`.
#include <pthread.h>

#include <climits>
#include <string_view>
#include <vector>

namespace {

int shared = 0;

void* Race(void*) {
  for (int i = 0; i < 1'000; ++i) ++shared;
  return nullptr;
}

int ReadBeyond(std::size_t index) {
  const std::vector<int> four(4);
  return four.data()[index];
}

int RaceTwo() {
  pthread_t other;
  if (pthread_create(&other, nullptr, Race, nullptr) != 0) return 1;
  Race(nullptr);
  pthread_join(other, nullptr);
  return shared;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view kind = count == 2 ? arguments[1] : "";
  int result = INT_MAX - 2 + count;
  if (kind == "address") result = ReadBeyond(static_cast<std::size_t>(count) + 2);
  if (kind == "undefined") result += count;
  if (kind == "thread") result = RaceTwo();
  return result == 0 ? 0 : 1;
}
