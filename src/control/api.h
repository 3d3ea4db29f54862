// Api: control's HTTP paths (openapi.json): requests in, decisions of others, JSON out.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <stop_token>
#include <string>

#include "control/dataset_table.h"
#include "control/events.h"
#include "control/inventory.h"
#include "control/loads.h"
#include "control/members.h"
#include "control/pool.h"
#include "control/status.h"
#include "io/http_server.h"

namespace forebay {

// Thread safety: safe. Calls may wait as long as their request says, and end soon after `stop`.
class Api {
 public:
  struct Parts {
    DatasetTable& datasets;
    Members& members;
    Inventory& inventory;
    Loads& loads;
    Pool& pool;
    EventLog& events;
    Registry& registry;
    const GroupFacts& facts;
    std::atomic<std::uint32_t>& desired;  // Local workers.
    std::atomic<bool>& shutdown_requested;
    std::atomic<Deadline>& round_ended;  // Of the reconcile loop, the last.
    std::stop_token stop;
  };

  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  HttpReply Answer(const HttpQuestion& question);

 private:
  struct Operation;
  static std::span<const Operation> Operations();
  Result<HttpReply> Route(const HttpQuestion& question);

  Result<DatasetPointer> FindDataset(const HttpQuestion& question, const std::string& word) const;
  Result<HttpReply> Datasets(const HttpQuestion& question);
  Result<HttpReply> Workers();
  Result<HttpReply> ShowDataset(const DatasetRecord& dataset);
  Result<HttpReply> DeleteDataset(const DatasetRecord& dataset);
  Result<HttpReply> RefreshDataset(const DatasetRecord& dataset);
  Result<HttpReply> ListLoads();
  Result<HttpReply> Shutdown(const HttpQuestion& question);
  HttpReply Healthy() const;
  HttpReply Ready() const;
  HttpReply MetricsText();
  Result<HttpReply> Status(const HttpQuestion& question);
  Result<HttpReply> EventsSince(const HttpQuestion& question);
  Result<HttpReply> CreateDataset(const HttpQuestion& question);
  Result<HttpReply> Apply(const HttpQuestion& question);
  Result<HttpReply> DeleteDocuments(const HttpQuestion& question);
  std::string_view ChangeBy(const DatasetSpec& spec) const;
  Result<std::vector<std::string_view>> PutDocuments(const std::vector<Document>& documents,
                                                     bool dry_run);
  Result<HttpReply> Wait(const HttpQuestion& question, const DatasetRecord& dataset);
  Result<HttpReply> Evict(const HttpQuestion& question, const DatasetRecord& dataset);
  Result<HttpReply> Verify(const HttpQuestion& question, const DatasetRecord& dataset);
  Result<HttpReply> StartLoad(const HttpQuestion& question);
  Result<HttpReply> TakeHeartbeat(const HttpQuestion& question);
  Result<HttpReply> SnapshotOf(const HttpQuestion& question);
  Result<HttpReply> Group(const HttpQuestion& question);
  void Announce();
  void TellOfChange(const DatasetRecord& dataset, DatasetChange change);

  const Parts parts_;
};

}  // namespace forebay
