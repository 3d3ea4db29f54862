// The vocabulary of store options: our names (CONTRACT.md section 2), and what people wrote for the
// same things elsewhere. The only table of them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay {

// Options of a store as people write them, by their names there or by ours.
using OptionMap = std::map<std::string, std::string>;

// All of our names, in alphabetical order.
std::span<const std::string_view> StoreOptionNames();

// Our name for what Alluxio, Hadoop's S3A, Jindo, JuiceFS or we call `name`; "" if nobody does.
std::string_view StoreOptionNamed(std::string_view name);

// Whether the value of our option `name` is a secret, so that it is only ever named.
bool IsSecretStoreOption(std::string_view name);

// `options` under our names, with values of the right kind: switches are true or false,
// max-connections is a number from 1 to 10000.
// Errors: kInvalidArgument naming the option and what would do.
Result<OptionMap> TranslatedStoreOptions(const OptionMap& options);

}  // namespace forebay
