// From the flags of a verb to a Client: the members file, the store's options and the deadline.
#pragma once

#include <memory>
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

// A client of the pool that the flags name; without --members straight from the store. `urls` are
// checked, so that nothing starts if one of them is wrong.
// Errors: kInvalidArgument.
Result<std::unique_ptr<Client>> ConnectPool(const Context& context,
                                            std::span<const std::string> urls);

// The same without members.
Result<std::unique_ptr<Client>> ConnectStore(const Context& context);

// The deadline of a call that begins now, from --read-timeout.
Deadline ReadDeadline(const Context& context);
std::chrono::milliseconds ReadTimeout(const Context& context);

}  // namespace forebay
