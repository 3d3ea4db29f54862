// From the flags of a verb to a Client: the members file or the group, the store's options and the
// deadline.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "app/context.h"
#include "base/deadline.h"
#include "base/result.h"
#include "client/client.h"
#include "cluster/members.h"

namespace forebay {

// The members of --members, or none, with the store flags laid over the file's options.
// Errors: kInvalidArgument, naming the flag, its value and what would do.
Result<MembersFile> MembersOf(const Context& context);

// Of no URLs nothing is wrong: they count as of stores.
// Errors: kInvalidArgument: one of `urls` is none, or they are not all of one kind: of datasets, or
// of stores.
Status CheckUrls(std::span<const std::string> urls);

// A client of what `urls` name. For datasets: of the group of --control or --state-dir. For stores:
// of the pool of --members, and without it straight from the store. Nothing starts if one of `urls`
// is wrong. `near_socket`: of the near worker that files are read from; empty: of none.
// Errors: kInvalidArgument.
Result<std::unique_ptr<Client>> ConnectPool(const Context& context,
                                            std::span<const std::string> urls,
                                            const std::string& near_socket = "");

// The same, but asks no worker.
Result<std::unique_ptr<Client>> ConnectStore(const Context& context,
                                             std::span<const std::string> urls);

// The same as ConnectPool for verbs that need workers to do something to.
Result<std::unique_ptr<Client>> ConnectWorkers(const Context& context,
                                               std::span<const std::string> urls,
                                               const std::string& why);

// --metadata-ttl: max() for ever. Nothing: it is not given.
// Errors: kInvalidArgument, naming the flag, its value and what would do.
Result<std::optional<std::chrono::milliseconds>> MetadataTtl(const Context& context);

// The deadline of a call that begins now, from --read-timeout.
Deadline ReadDeadline(const Context& context);
std::chrono::milliseconds ReadTimeout(const Context& context);

}  // namespace forebay
