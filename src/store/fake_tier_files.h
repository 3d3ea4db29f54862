// FaultyTierFiles: the real system calls, of which chosen ones fail.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "store/tier_files.h"

namespace forebay {

// `fails` is asked before every call, with the method's name and the number of calls before this
// one.
//
// Thread safety: safe, if `fails` is.
class FaultyTierFiles final : public TierFiles {
 public:
  using Fails = std::function<bool(std::string_view method, int call)>;
  FaultyTierFiles(Code code, Fails fails) : code_(code), fails_(std::move(fails)) {}

  bool fired() const { return fired_; }

  Result<bool> MakeDirectory(const std::string& path) override {
    if (Fires("MakeDirectory")) return Fault();
    return real_->MakeDirectory(path);
  }
  Result<UniqueFd> OpenDirectory(const std::string& path) override {
    if (Fires("OpenDirectory")) return Fault();
    return real_->OpenDirectory(path);
  }
  Status Lock(int directory_fd) override {
    if (Fires("Lock")) return Fault();
    return real_->Lock(directory_fd);
  }
  Status Mount(const std::string& path, const TmpfsOptions& options) override {
    if (Fires("Mount")) return Fault();
    return real_->Mount(path, options);
  }
  Status Remount(const std::string& path, const TmpfsOptions& options) override {
    if (Fires("Remount")) return Fault();
    return real_->Remount(path, options);
  }
  Status Unmount(const std::string& path, bool lazily) override {
    if (Fires("Unmount")) return Fault();
    return real_->Unmount(path, lazily);
  }
  Result<UniqueFd> CreateFile(const std::string& path) override {
    if (Fires("CreateFile")) return Fault();
    return real_->CreateFile(path);
  }
  Result<FoundFile> OpenFile(const std::string& path) override {
    if (Fires("OpenFile")) return Fault();
    return real_->OpenFile(path);
  }
  Status Read(int fd, std::span<std::byte> bytes) override {
    if (Fires("Read")) return Fault();
    return real_->Read(fd, bytes);
  }
  Status Resize(int fd, std::uint64_t bytes) override {
    if (Fires("Resize")) return Fault();
    return real_->Resize(fd, bytes);
  }
  Status Allocate(int fd, FileRange range) override {
    if (Fires("Allocate")) return Fault();
    return real_->Allocate(fd, range);
  }
  Status Punch(int fd, FileRange range) override {
    if (Fires("Punch")) return Fault();
    return real_->Punch(fd, range);
  }
  Result<std::span<std::byte>> Map(int fd, std::uint64_t bytes) override {
    if (Fires("Map")) return Fault();
    return real_->Map(fd, bytes);
  }
  Status MapOver(int fd, std::span<std::byte> mapping) override {
    if (Fires("MapOver")) return Fault();
    return real_->MapOver(fd, mapping);
  }

 private:
  bool Fires(std::string_view method) {
    if (!fails_(method, calls_++)) return false;
    fired_ = true;
    return true;
  }
  Error Fault() const { return Error(code_, "injected"); }

  const std::shared_ptr<TierFiles> real_ = SystemTierFiles();
  const Code code_;
  const Fails fails_;
  std::atomic<int> calls_ = 0;
  std::atomic<bool> fired_ = false;
};

}  // namespace forebay
