#include "app/completion.h"

#include <gtest/gtest.h>

#include "app/verbs.h"

namespace forebay {
namespace {

using Words = std::vector<std::string>;

Words Complete(const Words& words) {
  return CompletionsOf(words, {[] { return Words{"prices", "ticks"}; }, [] { return Words{"7"}; }});
}

TEST(Completion, WordsFlagsAndValues) {
  EXPECT_EQ(Complete({"bench", ""}), (Words{"fill", "read"}));
  EXPECT_EQ(Complete({"dataset", "c"}), Words{"create"});
  EXPECT_EQ(Complete({"load", "p"}), Words{"prices"});
  EXPECT_EQ(Complete({"load", "prices", ""}), Words{});
  EXPECT_EQ(Complete({"load-pause", ""}), Words{"7"});
  EXPECT_EQ(Complete({"status", "-o", "y"}), Words{"yaml"});
  EXPECT_EQ(Complete({"status", "--output=w"}), Words{"--output=wide"});
  EXPECT_EQ(Complete({"load", "--timeout", "", ""}), (Words{"prices", "ticks"}));
  EXPECT_EQ(Complete({"cat", ""}), Words{});  // Files.
  EXPECT_EQ(Complete({"nothing", ""}), Words{});
}

TEST(Completion, EveryShownVerbIsReached) {
  for (const Verb& verb : AllVerbs()) {
    const std::string name(verb.name);
    const std::size_t space = name.find(' ');
    const Words words = space == std::string::npos
                            ? Words{name}
                            : Words{name.substr(0, space), name.substr(space + 1)};
    const Words found = Complete(words);
    const bool there = std::ranges::find(found, words.back()) != found.end();
    EXPECT_EQ(there, !verb.hidden) << name;
  }
}

}  // namespace
}  // namespace forebay
