#include "mount/pending_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace forebay {
namespace {

std::string Status(const std::string& own, const std::string& shared, const std::string& blocked) {
  return "Name:\tcat\nSigQ:\t0/9\nSigPnd:\t" + own + "\nShdPnd:\t" + shared + "\nSigBlk:\t" +
         blocked + "\nSigIgn:\t0000000000000002\n";
}

TEST(PendingSignals, OnlyWhoIsToEndIs) {
  const std::string none = "0000000000000000";
  EXPECT_FALSE(IsAskedToEnd(Status(none, none, none)));
  EXPECT_TRUE(IsAskedToEnd(Status("0000000000000100", none, none)));                 // SIGKILL.
  EXPECT_TRUE(IsAskedToEnd(Status(none, "0000000000000002", none)));                 // SIGINT.
  EXPECT_TRUE(IsAskedToEnd(Status(none, "0000000000004000", none)));                 // SIGTERM.
  EXPECT_FALSE(IsAskedToEnd(Status(none, "0000000000002000", none)));                // SIGALRM.
  EXPECT_FALSE(IsAskedToEnd(Status("0000000004000000", "0000000000400000", none)));  // SIGPROF...
  // Blocked: it has not been heard.
  EXPECT_FALSE(IsAskedToEnd(Status(none, "0000000000000002", "0000000000000002")));
  EXPECT_FALSE(IsAskedToEnd(std::string_view("Name:\tcat\n")));
}

TEST(PendingSignals, ThisThreadIsNotAndOneThatIsNotSeenIs) {
  EXPECT_FALSE(IsAskedToEnd(static_cast<std::uint32_t>(getpid())));
  EXPECT_TRUE(IsAskedToEnd(std::uint32_t{0}));
}

}  // namespace
}  // namespace forebay
