// ControlClient: asks the control of the running group.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "app/context.h"
#include "base/deadline.h"
#include "base/result.h"
#include "io/http_call.h"

namespace forebay {

// How long one question may take unless a verb says otherwise.
inline constexpr std::chrono::milliseconds kControlTimeout{30'000};

// Thread safety: safe.
class ControlClient {
 public:
  // The control of --control, else of the group in --state-dir. Does not connect.
  // Errors: kInvalidArgument, naming the flag.
  static Result<std::unique_ptr<ControlClient>> Find(const Context& context);

  // The body of a 2xx answer. A call that is asked again while control restarts is up to the
  // caller: kUnavailable then.
  //
  // Obeys `stop` within 100 ms.
  // Errors: what control says is wrong, as kInvalidArgument (400, 413, 415, 422), kNotFound (404),
  // kDenied (401, 403, 409), kOverloaded (429) or kInternal; kUnavailable, with what to do, if
  // there is no control; kDeadlineExceeded, kCancelled.
  Result<std::string> Ask(const HttpCall& call, Deadline deadline, std::stop_token stop);

 private:
  explicit ControlClient(HttpEndpoint endpoint);
  Error Unreachable(const Error& cause) const;

  const HttpEndpoint endpoint_;
  HttpClient http_;
};

// The code that a verb ends with: 2 for invalid input, 130 if stopped, else 1.
int ExitCodeOf(const Error& error);

// Complains and returns that code.
int Failed(const Context& context, const Error& error);

// A dataset as people name it: "NAME" with --namespace, or "NAME.NAMESPACE".
struct DatasetName {
  std::string name;
  std::string name_space;

  // "/v1/datasets/NAMEsuffix?namespace=NAMESPACE".
  std::string Target(const std::string& suffix = {}) const;
};

// "all=true" with --all-namespaces, else "namespace=NAMESPACE": for a query.
std::string NamespaceQuery(const Context& context);

// Errors: kInvalidArgument (empty, several dots, or another namespace than --namespace).
Result<DatasetName> DatasetNameOf(const Context& context, const std::string& text);

// A path of a dataset: with a slash at its start. Errors: kInvalidArgument.
Result<std::string> DatasetPathOf(const std::string& text);

}  // namespace forebay
