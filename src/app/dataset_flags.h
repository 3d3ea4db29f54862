// From the flags of `dataset create` to what control is asked to store.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/answers.h"
#include "app/context.h"
#include "app/control_client.h"
#include "base/result.h"
#include "base/secret.h"

namespace forebay {

// --mount [PATH=]URL, in the order given. Errors of all: kInvalidArgument, naming the flag, its
// value and what would do; the value of a secret is never part of one.
Result<std::vector<MountView>> MountsOf(const Context& context);

// --option K=V. Of a repeated key the last counts.
Result<std::map<std::string, std::string>> StoreOptionsOf(const Context& context);

// --secret K=file:PATH (without a newline at its end) or K=env:NAME, read now.
Result<std::map<std::string, Secret>> SecretsOf(const Context& context);

// The body of POST /v1/datasets. Holds the secrets.
Result<std::string> DatasetBody(const Context& context, const DatasetName& name);

}  // namespace forebay
