#include "mount/node_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>

namespace forebay {
namespace {

std::string PathOf(std::uint64_t id) {
  return std::string(id * 37 % 700, static_cast<char>('a' + id % 26)) + std::to_string(id);
}

Attributes AttributesOf(std::uint64_t id) {
  return {.size = id, .mtime_ns = -static_cast<std::int64_t>(id), .version = "v" + PathOf(id)};
}

// Adds and removes until it is killed; counts up `steps`.
[[noreturn]] void Churn(NodeTable& table, std::atomic<std::uint64_t>& steps) {
  std::vector<NodeTable::Record*> records;
  std::uint64_t last = 1;
  table.Adopt([&](const NodeTable::Known& known) {
    records.push_back(&known.record);
    last = std::max<std::uint64_t>(last, known.record.id);
  });
  for (std::uint64_t i = 0;; ++i) {
    if (records.size() > 200) {
      std::swap(records[i * 31 % records.size()], records.back());
      table.Remove(*records.back());
      records.pop_back();
    }
    // What it will be called is known by adding something, as numbers are given in order.
    NodeTable::Record* const probe = table.Add("", {.size = 0, .version = ""});
    const std::uint64_t next = probe->id + 1;
    table.Remove(*probe);
    records.push_back(table.Add(PathOf(next), AttributesOf(next)));
    ++steps;
  }
}

TEST(NodeTable, AKillAtAnyInstructionLeavesWholeRecords) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(4u << 20).value();
  void* const shared =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& steps = *new (shared) std::atomic<std::uint64_t>(0);
  std::uint64_t newest = 0;
  for (std::uint64_t round = 0; round < 60; ++round) {
    steps = 0;
    const pid_t pid = fork();
    if (pid == 0) Churn(*table, steps);
    ASSERT_GT(pid, 0);
    while (steps < 100 + round * 17) continue;
    kill(pid, SIGKILL);
    ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
    std::set<std::uint64_t> ids;
    table->Adopt([&](const NodeTable::Known& known) {
      const std::uint64_t id = known.record.id;
      EXPECT_TRUE(ids.insert(id).second) << id;
      if (known.path.empty()) return;  // A probe.
      EXPECT_EQ(known.path, PathOf(id));
      EXPECT_EQ(known.attributes, AttributesOf(id));
      EXPECT_EQ(known.record.lookups, 1u);
    });
    EXPECT_GE(ids.size(), 100u);
    EXPECT_GT(*ids.rbegin(), newest);
    newest = *ids.rbegin();
  }
  EXPECT_EQ(table->serial(), 120u);
  munmap(shared, 4096);
}

TEST(NodeTable, WhatIsTooLongIsRefused) {
  const std::unique_ptr<NodeTable> table = NodeTable::Create(1u << 20).value();
  table->Adopt([](const NodeTable::Known&) {});
  EXPECT_NE(table->Add(std::string(50'000, 'x'), {.version = "1"}), nullptr);
  EXPECT_EQ(table->Add(std::string(70'000, 'x'), {.version = "1"}), nullptr);
  EXPECT_EQ(table->Add("x", {.version = std::string(70'000, '1')}), nullptr);
}

}  // namespace
}  // namespace forebay
