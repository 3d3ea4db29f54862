#include "core/holder_counts.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

using std::chrono_literals::operator""s;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

FileKey FileOf(std::uint8_t number, std::uint8_t dataset = 0, std::uint64_t domain = 0) {
  FileKey key;
  key.domain.value = domain;
  key.dataset.value.bytes[0] = dataset;
  key.path.bytes[0] = number;
  return key;
}

TEST(HolderCounts, WhatWasSaidOfAFileHoldsForTenSeconds) {
  HolderCounts counts;
  EXPECT_EQ(counts.Of(FileOf(1), kStart), 1);
  counts.Told(FileOf(1), 5, kStart);
  EXPECT_EQ(counts.Of(FileOf(1), kStart + 9s), 5);
  EXPECT_EQ(counts.Of(FileOf(1), kStart + 10s), 1);
  counts.Told(FileOf(1), 3, kStart + 11s);
  EXPECT_EQ(counts.Of(FileOf(1), kStart + 11s), 3);
}

TEST(HolderCounts, AnUnknownFileIsAsHotAsBothOfTheLastTwo) {
  HolderCounts counts;
  counts.Told(FileOf(1), 20, kStart);
  counts.Told(FileOf(1), 20, kStart);
  EXPECT_EQ(counts.Of(FileOf(9), kStart), 1);  // Of one file only.
  counts.Told(FileOf(2), 7, kStart);
  EXPECT_EQ(counts.Of(FileOf(9), kStart), 7);
  counts.Told(FileOf(2), 12, kStart);
  EXPECT_EQ(counts.Of(FileOf(9), kStart), 12);
  counts.Told(FileOf(3), 1, kStart);
  EXPECT_EQ(counts.Of(FileOf(9), kStart), 1);
}

TEST(HolderCounts, AHotFileBetweenColdOnesSaysNothingAboutThem) {
  HolderCounts counts;
  for (std::uint8_t cold = 1; cold < 9; ++cold) {
    counts.Told(FileOf(0), 20, kStart);
    EXPECT_EQ(counts.Of(FileOf(cold), kStart), 1);
    counts.Told(FileOf(cold), 1, kStart);
  }
}

TEST(HolderCounts, AGuessIsAsOldAsTheOlderOfTheTwo) {
  HolderCounts counts;
  counts.Told(FileOf(1), 20, kStart);
  counts.Told(FileOf(2), 20, kStart + 5s);
  EXPECT_EQ(counts.Of(FileOf(9), kStart + 9s), 20);
  EXPECT_EQ(counts.Of(FileOf(9), kStart + 10s), 1);
}

TEST(HolderCounts, DatasetsAndDomainsSayNothingAboutEachOther) {
  HolderCounts counts;
  for (std::uint8_t number = 1; number <= 2; ++number) {
    counts.Told(FileOf(number), 20, kStart);
    counts.Told(FileOf(number, 1), 4, kStart);
  }
  EXPECT_EQ(counts.Of(FileOf(9), kStart), 20);
  EXPECT_EQ(counts.Of(FileOf(9, 1), kStart), 4);
  EXPECT_EQ(counts.Of(FileOf(9, 2), kStart), 1);
  EXPECT_EQ(counts.Of(FileOf(9, 0, 1), kStart), 1);
}

}  // namespace
}  // namespace forebay
