// A registry in memory, whose writes can be made to fail.
#pragma once

#include <map>
#include <tuple>

#include "registry/registry.h"

namespace forebay {

class FakeRegistry : public Registry {
 public:
  bool fails = false;  // Every write from now on.
  std::map<std::tuple<std::string, std::string, std::string>, StoredObject> objects;
  std::vector<StoredEvent> events;

  Result<std::vector<StoredObject>> List(const std::string& kind) override {
    std::vector<StoredObject> found;
    for (const auto& [key, object] : objects) {
      if (object.kind == kind) found.push_back(object);
    }
    return found;
  }
  Result<std::optional<StoredObject>> Find(const std::string& kind,
                                           const std::string& namespace_name,
                                           const std::string& name) override {
    const auto found = objects.find({kind, namespace_name, name});
    if (found == objects.end()) return std::optional<StoredObject>();
    return std::optional(found->second);
  }
  Result<std::uint64_t> Put(const StoredObject& object,
                            std::optional<std::uint64_t> /*expected_generation*/) override {
    if (fails) return Error(Code::kUnavailable, "registry: disk full");
    StoredObject& stored = objects[{object.kind, object.namespace_name, object.name}];
    stored = object;
    stored.generation = ++generation_;
    return generation_;
  }
  Result<std::vector<std::uint64_t>> PutAll(const std::vector<StoredObject>& all) override {
    if (fails) return Error(Code::kUnavailable, "registry: disk full");
    std::vector<std::uint64_t> generations;
    for (const StoredObject& object : all) {
      generations.push_back(Put(object, std::nullopt).value());
    }
    return generations;
  }
  Result<std::uint64_t> Delete(const std::string& kind, const std::string& namespace_name,
                               const std::string& name,
                               std::optional<std::uint64_t> /*expected_generation*/) override {
    if (fails) return Error(Code::kUnavailable, "registry: disk full");
    if (objects.erase({kind, namespace_name, name}) == 0) {
      return Error(Code::kNotFound, "'" + name + "' does not exist");
    }
    return ++generation_;
  }
  Result<std::uint64_t> Generation() override { return generation_; }
  Result<std::uint32_t> NextGeneration() override { return ++starts_; }
  Result<std::uint64_t> AppendEvent(const std::string& json) override {
    if (fails) return Error(Code::kUnavailable, "registry: disk full");
    events.push_back({events.size() + 1, json});
    return events.size();
  }
  Result<std::vector<StoredEvent>> ListEvents(std::uint64_t since) override {
    return std::vector<StoredEvent>(events.begin() + static_cast<std::ptrdiff_t>(since),
                                    events.end());
  }

 private:
  std::uint64_t generation_ = 0;
  std::uint32_t starts_ = 0;
};

}  // namespace forebay
