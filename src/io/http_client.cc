#include "io/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace forebay {
namespace {

constexpr long kReceiveBufferBytes = 512 << 10;    // libcurl's largest.
constexpr std::size_t kHeadBytesMax = 256u << 10;  // S3 sends below 16 KiB.
constexpr std::string_view kCongestionControl = "cubic";

template <typename Value>
void Set(CURL* easy, CURLoption option, Value value) {
  CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// A proxy from the environment is meant for other machines.
bool IsLoopback(std::string_view url) {
  const std::size_t begin = url.find("://");
  if (begin == std::string_view::npos) return false;
  std::string_view host = url.substr(begin + 3, url.find('/', begin + 3) - (begin + 3));
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.find(':'));
  return host.starts_with("127.") || host == "localhost" || host.ends_with(".localhost");
}

// The host's default may be a rate-based one that starves beside the store's other clients. Without
// the module the default stays.
int OnSocket(void*, curl_socket_t fd, curlsocktype purpose) {
  if (purpose == CURLSOCKTYPE_IPCXN) {
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kCongestionControl.data(),
               static_cast<socklen_t>(kCongestionControl.size()));
  }
  return CURL_SOCKOPT_OK;
}

// What makes `easy` send `request`'s method and body. The handle keeps what its last request set.
void SetMethod(CURL* easy, const HttpRequest& request) {
  Set(easy, CURLOPT_NOBODY, request.method == HttpMethod::kHead ? 1L : 0L);
  Set(easy, CURLOPT_CUSTOMREQUEST, static_cast<const char*>(nullptr));
  switch (request.method) {
    case HttpMethod::kHead: return;
    case HttpMethod::kGet: Set(easy, CURLOPT_HTTPGET, 1L); return;
    case HttpMethod::kPost: break;
    case HttpMethod::kPut: Set(easy, CURLOPT_CUSTOMREQUEST, "PUT"); break;
    case HttpMethod::kDelete: Set(easy, CURLOPT_CUSTOMREQUEST, "DELETE"); break;
  }
  Set(easy, CURLOPT_POST, 1L);
  Set(easy, CURLOPT_POSTFIELDS, request.body.data());
  Set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
}

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

HeaderList HeadersOf(const HttpRequest& request) {
  HeaderList headers(nullptr, curl_slist_free_all);
  const auto add = [&headers](const char* header) {
    curl_slist* longer = curl_slist_append(headers.get(), header);
    CHECK(longer != nullptr);
    [[maybe_unused]] curl_slist* const part = headers.release();  // `longer` starts with it.
    headers.reset(longer);
  };
  bool typed = false;
  for (const std::string& header : request.headers) {
    add(header.c_str());
    typed = typed || LowerCase(header).starts_with("content-type:");
  }
  // libcurl would claim a form, and would wait for a 100 before it sends a long body.
  if (!typed) add("Content-Type:");
  add("Expect:");
  return headers;
}

// libcurl's state is the process's; it must be set up before the first handle.
void InitialiseOnce() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(code == CURLE_OK);
}

Error ErrorOf(CURLcode code, const std::string& detail) {
  switch (static_cast<int>(code)) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return {Code::kDenied, "the server's certificate is not trusted (" + detail +
                                 "); give the authority's PEM file as ca-bundle or AWS_CA_BUNDLE"};
    case CURLE_SSL_CACERT_BADFILE:
      return {Code::kInvalidArgument, "the CA bundle cannot be read (" + detail + ")"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {Code::kInvalidArgument, "not an http or https URL (" + detail + ")"};
    default:  // Not our enum. Everything else is the network's or the server's doing.
      return {Code::kUnavailable, detail};
  }
}

}  // namespace

const std::string* HttpHead::Find(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

// One easy handle in a multi handle of its own, which keeps the TCP connection between requests.
class HttpClient::Connection {
 public:
  explicit Connection(const HttpClientOptions& options);
  ~Connection() {
    curl_easy_cleanup(easy_);
    curl_multi_cleanup(multi_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status Run(const HttpRequest& request, HttpReceiver& receiver, Deadline deadline,
             const std::stop_token& stop);

 private:
  // What the callbacks of one Run share.
  struct Transfer {
    HttpReceiver* receiver;
    std::stop_token stop;
    HttpHead head;
    std::size_t head_bytes = 0;
    bool head_done = false;
    Deadline moved = Clock::now();  // When bytes last arrived or were taken by the receiver.
    std::optional<Error> error;     // What ended the transfer from our side.
  };

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* transfer);
  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* transfer);
  static Status TakeHeaderLine(Transfer& transfer, std::string_view line);
  // Moves bytes until the transfer has ended. Nothing: see Transfer::error.
  std::optional<CURLcode> Drive(Transfer& transfer, Deadline deadline);

  const std::chrono::milliseconds stall_timeout_;
  CURLM* multi_ = curl_multi_init();
  CURL* easy_ = curl_easy_init();
  std::array<char, CURL_ERROR_SIZE> detail_{};
};

HttpClient::Connection::Connection(const HttpClientOptions& options)
    : stall_timeout_(options.stall_timeout) {
  CHECK(multi_ != nullptr && easy_ != nullptr);
  CHECK(curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK);
  Set(easy_, CURLOPT_NOSIGNAL, 1L);
  Set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy_, CURLOPT_PATH_AS_IS, 1L);
  Set(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  Set(easy_, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  Set(easy_, CURLOPT_TCP_NODELAY, 1L);
  Set(easy_, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  Set(easy_, CURLOPT_SOCKOPTFUNCTION, &OnSocket);
  Set(easy_, CURLOPT_USERAGENT, "forebay/0.1");
  Set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  // A cancelled call does not wait for a name server.
  Set(easy_, CURLOPT_QUICK_EXIT, 1L);
  Set(easy_, CURLOPT_ERRORBUFFER, detail_.data());
  Set(easy_, CURLOPT_HEADERFUNCTION, &Connection::OnHeader);
  Set(easy_, CURLOPT_WRITEFUNCTION, &Connection::OnBody);
  if (!options.ca_bundle.empty()) Set(easy_, CURLOPT_CAINFO, options.ca_bundle.c_str());
}

Status HttpClient::Connection::TakeHeaderLine(Transfer& transfer, std::string_view line) {
  if (transfer.head_done) return {};  // Trailers say nothing that we use.
  transfer.head_bytes += line.size();
  if (transfer.head_bytes > kHeadBytesMax) {
    return Error(Code::kUnavailable, "the answer's head is longer than 256 KiB");
  }
  if (line.starts_with("HTTP/")) {
    transfer.head = {};
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return {};
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), transfer.head.status);
    return {};
  }
  if (Trim(line).empty()) {
    constexpr int kFirstFinalStatus = 200;
    if (transfer.head.status < kFirstFinalStatus) return {};
    transfer.head_done = true;
    return transfer.receiver->OnHead(transfer.head);
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  transfer.head.headers.insert_or_assign(LowerCase(Trim(line.substr(0, colon))),
                                         std::string(Trim(line.substr(colon + 1))));
  return {};
}

std::size_t HttpClient::Connection::OnHeader(char* data, std::size_t size, std::size_t count,
                                             void* opaque) {
  auto& transfer = *static_cast<Transfer*>(opaque);
  Status taken = TakeHeaderLine(transfer, {data, size * count});
  transfer.moved = Clock::now();
  if (taken.ok()) return size * count;
  transfer.error = std::move(taken).error();
  return 0;  // Anything but the length makes libcurl give up.
}

std::size_t HttpClient::Connection::OnBody(char* data, std::size_t size, std::size_t count,
                                           void* opaque) {
  auto& transfer = *static_cast<Transfer*>(opaque);
  if (transfer.stop.stop_requested()) {
    transfer.error = Error(Code::kCancelled, "stopped");
    return 0;
  }
  Status taken =
      transfer.receiver->OnBody({reinterpret_cast<const std::byte*>(data), size * count});
  transfer.moved = Clock::now();
  if (taken.ok()) return size * count;
  transfer.error = std::move(taken).error();
  return size * count == 0 ? 1 : 0;
}

std::optional<CURLcode> HttpClient::Connection::Drive(Transfer& transfer, Deadline deadline) {
  while (true) {
    int running = 0;
    CHECK(curl_multi_perform(multi_, &running) == CURLM_OK);
    if (transfer.error) return std::nullopt;
    if (running == 0) break;
    const Deadline stalled = transfer.moved + stall_timeout_;
    if (transfer.stop.stop_requested()) {
      transfer.error = Error(Code::kCancelled, "stopped");
    } else if (Passed(deadline)) {
      transfer.error = Error(Code::kDeadlineExceeded, "the server did not answer in time");
    } else if (Passed(stalled)) {
      transfer.error =
          Error(Code::kUnavailable, fmt::format("nothing moved for {} ms", stall_timeout_.count()));
    }
    if (transfer.error) return std::nullopt;
    const int wait_ms = MillisecondsUntil(std::min(deadline, stalled));
    CHECK(curl_multi_poll(multi_, nullptr, 0, wait_ms, nullptr) == CURLM_OK);
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi_, &left);
  CHECK(message != nullptr && message->msg == CURLMSG_DONE);
  return message->data.result;
}

Status HttpClient::Connection::Run(const HttpRequest& request, HttpReceiver& receiver,
                                   Deadline deadline, const std::stop_token& stop) {
  Transfer transfer{.receiver = &receiver, .stop = stop, .head = {}, .error = {}};
  const HeaderList headers = HeadersOf(request);
  Set(easy_, CURLOPT_URL, request.url.c_str());
  Set(easy_, CURLOPT_HTTPHEADER, headers.get());
  SetMethod(easy_, request);
  const bool unix = !request.unix_path.empty();
  const bool direct = unix || IsLoopback(request.url);
  Set(easy_, CURLOPT_UNIX_SOCKET_PATH, unix ? request.unix_path.c_str() : nullptr);
  Set(easy_, CURLOPT_PROXY, direct ? "" : static_cast<const char*>(nullptr));
  Set(easy_, CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  Set(easy_, CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  detail_[0] = '\0';
  std::optional<CURLcode> code;
  {
    const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_); });
    CHECK(curl_multi_add_handle(multi_, easy_) == CURLM_OK);
    code = Drive(transfer, deadline);
    // Closes the connection if the transfer has not ended.
    CHECK(curl_multi_remove_handle(multi_, easy_) == CURLM_OK);
  }
  Set(easy_, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  if (transfer.error) return *std::move(transfer.error);
  if (code == CURLE_OK && transfer.head_done) return {};
  if (code == CURLE_OK) return Error(Code::kUnavailable, "the answer has no head");
  return ErrorOf(*code, detail_[0] != '\0' ? detail_.data() : curl_easy_strerror(*code));
}

HttpClient::HttpClient(HttpClientOptions options) : options_(std::move(options)) {
  CHECK(options_.connections_max > 0);
  InitialiseOnce();
}

HttpClient::~HttpClient() {
  MutexLock lock(mutex_);
  CHECK(borrowed_ == 0);
}

Result<std::unique_ptr<HttpClient::Connection>> HttpClient::Borrow(Deadline deadline,
                                                                   const std::stop_token& stop) {
  // Before the lock: the callback may run at once, on this thread.
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  MutexLock lock(mutex_);
  while (borrowed_ >= options_.connections_max) {
    if (stop.stop_requested()) return Error(Code::kCancelled, "stopped");
    if (Passed(deadline)) {
      return Error(Code::kDeadlineExceeded,
                   fmt::format("all {} connections stayed busy", options_.connections_max));
    }
    changed_.WaitUntil(mutex_, deadline);
  }
  ++borrowed_;
  if (idle_.empty()) return std::make_unique<Connection>(options_);
  std::unique_ptr<Connection> connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void HttpClient::GiveBack(std::unique_ptr<Connection> connection) {
  MutexLock lock(mutex_);
  --borrowed_;
  idle_.push_back(std::move(connection));
  changed_.NotifyOne();
}

Status HttpClient::Perform(const HttpRequest& request, HttpReceiver& receiver, Deadline deadline,
                           std::stop_token stop) {
  Result<std::unique_ptr<Connection>> connection = Borrow(deadline, stop);
  if (!connection.ok()) return std::move(connection).error();
  Status status = connection.value()->Run(request, receiver, deadline, stop);
  GiveBack(std::move(connection).value());
  return status;
}

}  // namespace forebay
