#include "store/slot_table.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;

// One chunk of two slots.
class SlotTableTest : public testing::Test {
 protected:
  SlotTableTest() : table_({.block_bytes = kBlock}) { table_.AddChunk(); }

  SlotId Held() {
    const SlotId id = *table_.Allocate(kBlock);
    table_.Occupy(id, nullptr);
    table_.Settle(id);
    return id;
  }

  void SendFrom(SlotId id) {
    table_.Pin(id);
    table_.Sent(id);
  }

  SlotTable table_;
};

TEST_F(SlotTableTest, ASlotIsHandedOutAgainOnlyWhenEverySendIsAcknowledged) {
  const SlotId id = Held();
  Held();
  SendFrom(id);
  SendFrom(id);
  table_.Release(id);
  EXPECT_FALSE(table_.Allocate(kBlock).has_value());
  table_.Acknowledge(id);
  EXPECT_FALSE(table_.Allocate(kBlock).has_value());
  table_.Acknowledge(id);
  EXPECT_EQ(table_.Allocate(kBlock), id);
}

TEST_F(SlotTableTest, ASendAcknowledgedBeforeTheBlockGoesLeavesItClean) {
  const SlotId id = Held();
  Held();
  SendFrom(id);
  table_.Acknowledge(id);
  table_.Release(id);
  EXPECT_EQ(table_.Allocate(kBlock), id);
}

TEST_F(SlotTableTest, AnAbandonedSendNeedsNewPages) {
  for (const bool sent : {false, true}) {
    const SlotId id = Held();
    table_.Pin(id);
    if (sent) {
      table_.Sent(id);
      table_.AbandonSent(id);
    } else {
      table_.AbandonPinned(id);
    }
    SendFrom(id);
    table_.Release(id);
    table_.Acknowledge(id);  // Of the other send.
    const SlotId other = Held();
    EXPECT_FALSE(table_.Allocate(kBlock).has_value());
    table_.Release(other);
    table_.Withdraw(id.chunk);
    EXPECT_EQ(table_.map().capacity_bytes(), 0u);
    table_.Restore(id.chunk);
    EXPECT_EQ(table_.map().free_bytes(), 2 * kBlock);
    table_.Release(Held());
  }
}

TEST_F(SlotTableTest, WhatComesAfterThePagesWentHitsNobody) {
  const SlotId id = Held();
  for (int i = 0; i < 3; ++i) SendFrom(id);
  table_.Release(id);
  table_.Withdraw(id.chunk);
  table_.Acknowledge(id);
  table_.Restore(id.chunk);
  table_.Acknowledge(id);
  const SlotId next = Held();
  EXPECT_EQ(next.chunk, id.chunk);
  EXPECT_EQ(next.slot, id.slot);
  SendFrom(next);
  table_.AbandonSent(id);
  table_.Release(next);
  EXPECT_EQ(table_.map().dirty_bytes(), kBlock);
  table_.Acknowledge(next);
  EXPECT_EQ(table_.map().dirty_bytes(), 0u);
}

TEST_F(SlotTableTest, APinnedSlotGoesWithItsLastPin) {
  const SlotId id = Held();
  table_.Pin(id);
  table_.Pin(id);
  EXPECT_FALSE(table_.Evictable(id));
  table_.Release(id);
  EXPECT_FALSE(table_.ChunkEvictable(id.chunk));
  table_.Unpin(id);
  EXPECT_EQ(table_.map().used_bytes(), kBlock);
  table_.Unpin(id);
  EXPECT_EQ(table_.map().used_bytes(), 0u);
  EXPECT_TRUE(table_.ChunkEvictable(id.chunk));
  table_.map().CheckInvariants();
}

TEST_F(SlotTableTest, ABlockThatFillsIsNotEvictableAndNorIsItsChunk) {
  const SlotId id = Held();
  EXPECT_TRUE(table_.Evictable(id));
  EXPECT_TRUE(table_.ChunkEvictable(id.chunk));
  const SlotId filling = *table_.Allocate(kBlock);
  table_.Occupy(filling, nullptr);
  EXPECT_FALSE(table_.Evictable(filling));
  EXPECT_TRUE(table_.Evictable(id));
  EXPECT_FALSE(table_.ChunkEvictable(id.chunk));
  table_.Settle(filling);
  EXPECT_TRUE(table_.ChunkEvictable(id.chunk));
}

}  // namespace
}  // namespace forebay
