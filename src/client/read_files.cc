#include "client/read_files.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace forebay {
namespace {

// Of small blocks, so many are held at a time, whatever the memory: those ahead of one that is late
// leave the processor's cache until their turn, and each that is more takes fresh pages.
constexpr std::uint64_t kBlocksHeldMax = 32;

// A file that is replaced again and again while it is opened ends as kChanged.
constexpr int kRestartsMax = 3;

}  // namespace

ReadFilesRun::ReadFilesRun(Backends& backends, Lookups& lookups, FileSink& sink,
                           std::chrono::milliseconds read_timeout)
    : backends_(backends),
      lookups_(lookups),
      sink_(sink),
      read_timeout_(read_timeout),
      rng_(backends.seed),
      pool_(std::make_shared<BufferPool>(backends.limits.window_bytes_max)),
      reads_(backends) {}

ReadFilesRun::~ReadFilesRun() {
  questions_.Close();
}

Status ReadFilesRun::Run(std::span<const FileToRead> files, std::stop_token stop) {
  files_ = files;
  const std::stop_callback pass_on(stop, [this] { askers_.RequestStop(); });
  while (!stop.stop_requested()) {
    TakeFiles(stop);
    TakeAnswers();
    StartReads();
    if (entries_.empty()) return {};
    const Result<bool> delivered = Deliver();
    if (!delivered.ok()) return delivered.error();
    // After a delivery only what is there already; then the window is filled up again.
    const Deadline until = delivered.value() ? Deadline::min() : Deadline::max();
    if (auto ended = reads_.Next(until, stop)) Handle(std::move(*ended));
  }
  return Error(Code::kCancelled, "asked to stop");
}

void ReadFilesRun::TakeFiles(const std::stop_token& stop) {
  while (entries_.size() < kFilesMax && next_place_ < files_.size()) {
    Entry& entry = entries_.emplace_back();
    entry.place = next_place_++;
    const FileToRead& request = files_[entry.place];
    if (!request.attributes) {
      Ask(Question{entry.place, false});
      continue;
    }
    Result<Place> place = backends_.Find(request.url, Clock::now() + read_timeout_, stop);
    if (place.ok()) {
      entry.version = MakeFileVersion(place.value(), *request.attributes);
    } else {
      entry.error = place.error();
    }
  }
}

void ReadFilesRun::Ask(Question question) {
  // Every entry has at most one question, so there is room.
  CHECK(questions_.TryPush(question));
  if (askers_.running() < kAskersMax) {
    askers_.Run("attributes", [this](std::stop_token stop) { AnswerQuestions(stop); });
  }
}

void ReadFilesRun::AnswerQuestions(std::stop_token stop) {
  while (const std::optional<Question> question = questions_.Pop()) {
    answers_.Post(Answer{question->place, Find(*question, stop)});
    reads_.Wake();
  }
}

Result<std::shared_ptr<const FileVersion>> ReadFilesRun::Find(const Question& question,
                                                              std::stop_token stop) {
  const Deadline deadline = Clock::now() + read_timeout_;
  Result<Place> place = backends_.Find(files_[question.place].url, deadline, stop);
  if (!place.ok()) return place.error();
  Result<Attributes> attributes = question.fresh ? lookups_.StatAnew(place.value(), deadline, stop)
                                                 : lookups_.Stat(place.value(), deadline, stop);
  if (!attributes.ok()) return attributes.error();
  if (attributes.value().type == FileType::kDirectory) {
    return Error(Code::kInvalidArgument, "is a directory; name a file in it");
  }
  return MakeFileVersion(place.value(), std::move(attributes).value());
}

void ReadFilesRun::TakeAnswers() {
  for (Answer& answer : answers_.Take(Deadline::min(), {})) {
    // Entries have consecutive places, and one with an open question is not handed out.
    Entry& entry = entries_[answer.place - entries_.front().place];
    if (entry.last_error) {
      entry.error = std::exchange(entry.last_error, std::nullopt);
    } else if (answer.version.ok()) {
      entry.version = std::move(answer.version).value();
    } else {
      entry.error = std::move(answer.version).error();
    }
  }
}

void ReadFilesRun::StartReads() {
  for (Entry& entry : entries_) {
    if (entry.error) continue;
    if (!entry.version) break;
    while (PlanNext(entry)) {
    }
    if (entry.planned < entry.version->attributes.size) break;
  }
  StartPlanned();
}

// Adds the next piece of the file. False if there is none, or it has to wait.
bool ReadFilesRun::PlanNext(Entry& entry) {
  const std::uint64_t size = entry.version->attributes.size;
  if (entry.planned == size || waiting_.size() >= kAhead) return false;
  const std::uint64_t block_bytes = entry.version->store->rules.block_bytes;
  const std::size_t bytes =
      std::min(block_bytes - entry.planned % block_bytes, size - entry.planned);
  if (entry.planned == 0) {
    entry.memory = sink_.Memory(files_[entry.place], entry.version->attributes);
    if (entry.memory.size() != size) entry.memory = {};
  }
  if (entry.memory.empty() && !(reads_.MayStart(bytes) && MayHold(entry, bytes))) return false;
  Piece& piece = entry.pieces.emplace_back();
  piece.offset = std::exchange(entry.planned, entry.planned + bytes);
  if (entry.memory.empty()) {
    Start(entry, piece, bytes);
  } else {
    piece.bytes = entry.memory.subspan(piece.offset, bytes);
    waiting_.emplace_back(&entry, &piece);
  }
  return true;
}

// Many readers of the same files in the same order would all ask the few holders of one block, then
// all those of the next. So each takes the ones ahead in an order of its own, which costs no memory
// here; only what is to be delivered next is never left waiting.
void ReadFilesRun::StartPlanned() {
  while (!waiting_.empty()) {
    const std::deque<Piece>& next = entries_.front().pieces;
    const bool is_next = !next.empty() && waiting_.front().second == &next.front();
    const auto chosen =
        waiting_.begin() + static_cast<std::ptrdiff_t>(is_next ? 0 : rng_.Below(waiting_.size()));
    const auto [entry, piece] = *chosen;
    if (!reads_.MayStart(piece->bytes.size())) return;
    waiting_.erase(chosen);
    Start(*entry, *piece, piece->bytes.size());
  }
}

bool ReadFilesRun::MayHold(const Entry& entry, std::size_t bytes) const {
  const std::uint64_t block_bytes = entry.version->store->rules.block_bytes;
  const std::uint64_t window = std::max(
      std::min(backends_.limits.window_bytes_max, kBlocksHeldMax * block_bytes), 2 * block_bytes);
  if (held_bytes_ + std::bit_ceil(bytes) <= window) return true;
  // The file whose turn it is must get on, even if others have taken all there is.
  return &entry == &entries_.front() && entry.pieces.empty();
}

void ReadFilesRun::Start(const Entry& entry, Piece& piece, std::size_t bytes) {
  BlockWant want{.file = entry.version,
                 .offset = piece.offset,
                 .destination = piece.bytes,
                 .deadline = Clock::now() + read_timeout_};
  if (piece.bytes.empty()) {
    piece.held = std::bit_ceil(bytes);
    want.pool = pool_;
    want.chunked_bytes = bytes;
  }
  held_bytes_ += piece.held;
  piece.id = reads_.Start(std::move(want));
}

Result<bool> ReadFilesRun::Deliver() {
  Entry& entry = entries_.front();
  if (entry.error) return End(*entry.error);
  if (!entry.version) return false;
  if (!entry.pieces.empty()) {
    Piece& piece = entry.pieces.front();
    if (!piece.chunks.empty()) {
      Chunk chunk = std::move(piece.chunks.front());
      piece.chunks.pop_front();
      Status delivered = Deliver(entry, {chunk.buffer.memory.get(), chunk.bytes});
      pool_->Put(std::move(chunk.buffer));
      if (!delivered.ok()) return std::move(delivered).error();
      return true;
    }
    if (!piece.arrived) return false;
    const std::span<std::byte> bytes = piece.bytes;
    held_bytes_ -= piece.held;
    entry.pieces.pop_front();
    if (bytes.empty()) return true;
    if (Status delivered = Deliver(entry, bytes); !delivered.ok()) return delivered.error();
    return true;
  }
  if (entry.delivered < entry.version->attributes.size) return false;
  if (Status begun = Begin(entry); !begun.ok()) return begun.error();
  return End({});
}

// As late as possible: until then, a replaced file can be read as its new version unnoticed.
Status ReadFilesRun::Begin(Entry& entry) {
  if (entry.begun) return {};
  entry.begun = true;
  return sink_.Begin(files_[entry.place], entry.version->attributes);
}

Status ReadFilesRun::Deliver(Entry& entry, std::span<const std::byte> bytes) {
  if (Status begun = Begin(entry); !begun.ok()) return begun;
  entry.delivered += bytes.size();
  return sink_.Write(bytes);
}

Result<bool> ReadFilesRun::End(Status outcome) {
  const FileToRead& request = files_[entries_.front().place];
  entries_.pop_front();
  if (Status ended = sink_.End(request, std::move(outcome)); !ended.ok()) return ended.error();
  return true;
}

void ReadFilesRun::Handle(BlockReads::Ended ended) {
  for (Entry& entry : entries_) {
    const auto piece =
        std::find_if(entry.pieces.begin(), entry.pieces.end(),
                     [&ended](const Piece& candidate) { return candidate.id == ended.id; });
    if (piece == entry.pieces.end()) continue;
    if (ended.chunk.bytes > 0) piece->chunks.push_back(std::move(ended.chunk));
    if (ended.more) return;
    piece->arrived = true;  // Or failed: either way nothing is left to cancel.
    if (!ended.status.ok()) Fail(entry, std::move(ended.status).error());
    return;
  }
}

void ReadFilesRun::Fail(Entry& entry, Error error) {
  DropPieces(entry);
  // A pinned dataset does not move, whatever became of the file.
  if (error.code() != Code::kChanged || entry.version->store->rules.pinned()) {
    entry.error = std::move(error);
    return;
  }
  // Asked also if it is too late for this read: whoever comes next is to get the new version.
  if (entry.begun || entry.restarts >= kRestartsMax) entry.last_error = std::move(error);
  ++entry.restarts;
  entry.version = nullptr;
  entry.planned = 0;
  Ask(Question{entry.place, true});
}

void ReadFilesRun::DropPieces(Entry& entry) {
  std::erase_if(waiting_, [&entry](const auto& waiting) { return waiting.first == &entry; });
  for (Piece& piece : entry.pieces) {
    if (!piece.arrived && piece.id != 0) reads_.Cancel(piece.id);
    held_bytes_ -= piece.held;
  }
  entry.pieces.clear();
}

}  // namespace forebay
