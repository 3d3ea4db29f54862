// Fluid's runtimes are front-ends to one engine here: what shapes the containers of another engine
// has no meaning, what sizes the cache does.
#include <array>

#include "spec/schema.h"

namespace forebay {
namespace {

using enum FieldType;
using enum Effect;

constexpr std::string_view kEngine =
    "runs another engine; the cache is forebay's own, whatever the kind";
constexpr std::string_view kNoPods = "shapes pods; on one machine the workers are processes";
constexpr std::string_view kNoMaster = "no master is needed: clients compute where a block is";
constexpr std::string_view kOptionOfEngine = "options of another engine, without effect here";
constexpr std::string_view kNodes =
    "on one machine there are no nodes to choose from; the workers run here, whatever it says";
constexpr std::string_view kSizeOfMachine =
    "nothing limits a worker's processor or memory but its quota";
constexpr std::string_view kGroupReplicas =
    "without effect: the number of workers is `spec.replicas`";

// What is the same in every kind but CacheRuntime.
constexpr auto kCommon = std::to_array<Field>({
    {"replicas", kWhole, kUsed, "the number of workers"},
    {"tieredstore", kMap, kUsed, "where blocks are kept, and how many"},
    {"tieredstore.levels", kList, kUsed, "the tiers of a worker"},
    {"tieredstore.levels[]", kMap, kUsed, "a tier of a worker"},
    {"tieredstore.levels[].mediumtype", kText, kUsed, "what the tier is made of"},
    {"tieredstore.levels[].volumeType", kText, kNothing,
     "how a pod gets at the tier; a process uses the directory itself"},
    {"tieredstore.levels[].volumeSource", kAny, kNothing, kNoPods},
    {"tieredstore.levels[].path", kText, kDiffers,
     "the tier's directory; a worker's memory tier is a tmpfs of its own at STATE/NAME/tier, or "
     "lies "
     "in /dev/shm",
     "start a worker with --tier-dir DIR to have it elsewhere"},
    {"tieredstore.levels[].quota", kQuantity, kUsed, "bytes of the tier, a worker"},
    {"tieredstore.levels[].quotaList", kText, kUsed, "bytes of the tier for each path, a worker"},
    {"tieredstore.levels[].high", kRatio, kDiffers,
     "where eviction begins; here it begins at 98 % of the quota", "set the quota"},
    {"tieredstore.levels[].low", kRatio, kDiffers,
     "down to where eviction goes; here it goes to 95 % of the quota", "set the quota"},
    {"podMetadata", kAny, kNothing, kNoPods},
    {"volumes", kAny, kNothing, kNoPods},
    {"imagePullSecrets", kAny, kNothing, kNoPods},
    {"runAs", kAny, kNothing, "the workers run as whoever starts them"},
    {"disablePrometheus", kSwitch, kNothing, "metrics are always there and cost nothing unread"},
    {"management", kMap, kNothing, "how Fluid cleans and refreshes the engine"},
    {"management.cleanCachePolicy", kAny, kNothing,
     "the memory of a worker that leaves is free at once"},
    {"management.metadataSyncPolicy", kAny, kNothing,
     "attributes are refreshed by the dataset's staleness bound"},
});

// A component of an engine. `worker` of every kind; `fuse`, `master` and others likewise.
constexpr auto kComponent = std::to_array<Field>({
    {"enabled", kSwitch, kNothing, "not read by Fluid either"},
    {"disabled", kSwitch, kNothing, kEngine},
    {"image", kText, kNothing, kEngine},
    {"imageTag", kText, kNothing, kEngine},
    {"imagePullPolicy", kText, kNothing, kEngine},
    {"imagePullSecrets", kAny, kNothing, kNoPods},
    {"runtimeVersion", kAny, kNothing, kEngine},
    {"version", kAny, kNothing, kEngine},
    {"options", kOptions, kDiffers, kOptionOfEngine},
    {"properties", kOptions, kDiffers, kOptionOfEngine},
    {"jvmOptions", kAny, kNothing, kEngine},
    {"command", kAny, kNothing, kEngine},
    {"args", kAny, kNothing, kEngine},
    {"env", kAny, kNothing, kEngine},
    {"ports", kAny, kNothing, kEngine},
    {"resources", kAny, kDiffers, kSizeOfMachine, "set the tiers' quota"},
    {"nodeSelector", kLabels, kUnsupported, kNodes, "nothing to do here"},
    {"tolerations", kAny, kUnsupported, kNodes, "nothing to do here"},
    {"volumeMounts", kAny, kNothing, kNoPods},
    {"podMetadata", kAny, kNothing, kNoPods},
    {"labels", kLabels, kNothing, kNoPods},
    {"networkMode", kText, kNothing, "the workers use the machine's network"},
    {"livenessProbe", kAny, kNothing, kEngine},
    {"readinessProbe", kAny, kNothing, kEngine},
    {"lifecycle", kAny, kNothing, kEngine},
    {"logConfig", kAny, kNothing, kEngine},
    {"metrics", kAny, kNothing, "metrics are always there and cost nothing unread"},
});

constexpr auto kWorkerReplicas = std::to_array<Field>({
    {"replicas", kWhole, kDiffers, kGroupReplicas, "set spec.replicas"},
});
constexpr auto kMasterReplicas = std::to_array<Field>({
    {"replicas", kWhole, kNothing, kNoMaster},
});
constexpr auto kCleanPolicy = std::to_array<Field>({
    {"cleanPolicy", kText, kNothing,
     "when Fluid removes a node's mount; a mount here lives until "
     "its unmount"},
});

constexpr auto kJuiceFS = std::to_array<Field>({
    {"juicefsVersion", kAny, kNothing, kEngine},
    {"master", kMap, kNothing, "not read by Fluid either"},
    {"worker", kMap, kUsed, "the workers"},
    {"jobWorker", kMap, kNothing, "not read by Fluid either"},
    {"fuse", kMap, kNothing, "the mount on every node"},
    {"initUsers", kAny, kNothing, "not read by Fluid either"},
    {"configs", kAny, kNothing,
     "flags of `juicefs format` or `juicefs auth`, which do not run here"},
    {"volumeClaimTemplates", kAny, kNothing, kNoPods},
});

constexpr auto kJindo = std::to_array<Field>({
    {"jindoVersion", kAny, kNothing, kEngine},
    {"master", kMap, kNothing, kNoMaster},
    {"worker", kMap, kUsed, "the workers"},
    {"fuse", kMap, kNothing, "the mount on every node"},
    {"properties", kOptions, kDiffers, kOptionOfEngine},
    {"user", kText, kNothing, kEngine},
    {"hadoopConfig", kText, kNothing, kEngine},
    {"secret", kText, kUnsupported, "a Secret with the store's credentials",
     "name it in the Dataset's encryptOptions"},
    {"labels", kLabels, kNothing, kNoPods},
    {"logConfig", kAny, kNothing, kEngine},
    {"networkmode", kText, kNothing, "the workers use the machine's network"},
    {"cleanCachePolicy", kAny, kNothing, "the memory of a worker that leaves is free at once"},
});

constexpr auto kAlluxio = std::to_array<Field>({
    {"alluxioVersion", kAny, kNothing, kEngine},
    {"master", kMap, kNothing, kNoMaster},
    {"jobMaster", kMap, kNothing, kNoMaster},
    {"worker", kMap, kUsed, "the workers"},
    {"jobWorker", kMap, kNothing, kEngine},
    {"apiGateway", kMap, kNothing, kEngine},
    {"initUsers", kAny, kNothing, kEngine},
    {"fuse", kMap, kNothing, "the mount on every node"},
    {"properties", kOptions, kDiffers, kOptionOfEngine},
    {"jvmOptions", kAny, kNothing, kEngine},
    {"data", kMap, kDiffers, "how many workers hold each block"},
    {"data.replicas", kWhole, kDiffers,
     "without effect: a file that many readers want gets more holders by itself",
     "load with `forebay load NAME --replicas N`"},
    {"data.pin", kSwitch, kUnsupported, "keeps blocks from eviction",
     "give the workers a quota that holds the dataset"},
    {"hadoopConfig", kText, kNothing, kEngine},
});

constexpr auto kThin = std::to_array<Field>({
    {"profileName", kText, kNothing,
     "the program that Fluid would run; the cache is forebay's own"},
    {"worker", kMap, kUsed, "the workers"},
    {"fuse", kMap, kNothing, "the mount on every node"},
});

constexpr auto kEfc = std::to_array<Field>({
    {"master", kMap, kNothing, kNoMaster},
    {"worker", kMap, kUsed, "the workers"},
    {"initFuse", kMap, kNothing, kEngine},
    {"fuse", kMap, kNothing, "the mount on every node"},
    {"osAdvise", kAny, kNothing, kEngine},
    {"cleanCachePolicy", kAny, kNothing, "the memory of a worker that leaves is free at once"},
});

constexpr auto kVineyard = std::to_array<Field>({
    {"master", kMap, kNothing, kNoMaster},
    {"master.endpoint", kAny, kUnsupported, "an etcd of Vineyard's own", "leave it out"},
    {"worker", kMap, kUsed, "the workers"},
    {"fuse", kMap, kNothing, "the mount on every node"},
});

constexpr auto kCache = std::to_array<Field>({
    {"runtimeClassName", kText, kNothing,
     "the engine that Fluid would run; the cache is forebay's own"},
    {"master", kMap, kNothing, kNoMaster},
    {"worker", kMap, kUsed, "the workers"},
    {"worker.replicas", kWhole, kUsed, "the number of workers"},
    {"worker.tieredStore", kMap, kUsed, "where blocks are kept, and how many"},
    {"worker.tieredStore.levels", kList, kUsed, "the tiers of a worker"},
    {"worker.tieredStore.levels[]", kMap, kUsed, "a tier of a worker"},
    {"worker.tieredStore.levels[].processMemory", kMap, kUsed, "memory of the worker"},
    {"worker.tieredStore.levels[].processMemory.quota", kQuantity, kUsed, "bytes of the tier"},
    {"worker.tieredStore.levels[].emptyDir", kMap, kUsed, "a directory of the pod"},
    {"worker.tieredStore.levels[].emptyDir.quota", kQuantity, kUsed, "bytes of the tier"},
    {"worker.tieredStore.levels[].emptyDir.medium", kText, kUsed, "Memory is a memory tier"},
    {"worker.tieredStore.levels[].hostPath", kMap, kUsed, "directories of the node"},
    {"worker.tieredStore.levels[].hostPath.paths", kList, kUsed, "the directories"},
    {"worker.tieredStore.levels[].hostPath.paths[]", kText, kUsed, "a directory"},
    {"worker.tieredStore.levels[].hostPath.quotas", kList, kUsed, "bytes for each path"},
    {"worker.tieredStore.levels[].hostPath.quotas[]", kQuantity, kUsed, "bytes"},
    {"worker.tieredStore.levels[].hostPath.type", kText, kNothing, kNoPods},
    {"worker.tieredStore.levels[].high", kRatio, kDiffers,
     "where eviction begins; here it begins at 98 % of the quota", "set the quota"},
    {"worker.tieredStore.levels[].low", kRatio, kDiffers,
     "down to where eviction goes; here it goes to 95 % of the quota", "set the quota"},
    {"client", kMap, kNothing, "the mount on every node"},
    {"client.tieredStore", kAny, kDiffers, "a cache beside every task, which is not there",
     "give the workers the memory"},
    {"options", kOptions, kDiffers, kOptionOfEngine},
    {"volumes", kAny, kNothing, kNoPods},
    {"imagePullSecrets", kAny, kNothing, kNoPods},
});

constexpr auto kGooseFS = std::to_array<Field>({
    {"goosefsVersion", kAny, kNothing, kEngine},
    {"master", kMap, kNothing, kNoMaster},
    {"jobMaster", kMap, kNothing, kNoMaster},
    {"worker", kMap, kUsed, "the workers"},
    {"jobWorker", kMap, kNothing, kEngine},
    {"apiGateway", kMap, kNothing, kEngine},
    {"initUsers", kAny, kNothing, kEngine},
    {"fuse", kMap, kNothing, "the mount on every node"},
    {"properties", kOptions, kDiffers, kOptionOfEngine},
    {"jvmOptions", kAny, kNothing, kEngine},
    {"data", kAny, kDiffers, "how many workers hold each block; without effect",
     "load with `forebay load NAME --replicas N`"},
    {"hadoopConfig", kText, kNothing, kEngine},
    {"cleanCachePolicy", kAny, kNothing, "the memory of a worker that leaves is free at once"},
});

std::vector<FieldGroup> Groups(std::span<const Field> own,
                               std::initializer_list<std::string_view> components) {
  std::vector<FieldGroup> groups = {{"spec.", own}, {"spec.", kCommon}};
  for (const std::string_view prefix : components) {
    groups.push_back({prefix, kComponent});
    if (prefix == "spec.worker.") {
      groups.push_back({prefix, kWorkerReplicas});
    } else if (prefix == "spec.fuse." || prefix == "spec.client.") {
      groups.push_back({prefix, kCleanPolicy});
    } else {
      groups.push_back({prefix, kMasterReplicas});
    }
  }
  return groups;
}

std::vector<FieldGroup> CacheGroups() {
  return {{"spec.", kCache},
          {"spec.master.", kComponent},
          {"spec.master.", kMasterReplicas},
          {"spec.worker.", kComponent},
          {"spec.client.", kComponent},
          {"spec.client.", kCleanPolicy}};
}

}  // namespace

std::vector<RuntimeFields> AllRuntimeFields() {
  const std::initializer_list<std::string_view> alluxio = {"spec.master.", "spec.jobMaster.",
                                                           "spec.worker.", "spec.jobWorker.",
                                                           "spec.fuse.",   "spec.apiGateway."};
  return {
      {"AlluxioRuntime", Groups(kAlluxio, alluxio)},
      {"CacheRuntime", CacheGroups()},
      {"EFCRuntime",
       Groups(kEfc, {"spec.master.", "spec.worker.", "spec.initFuse.", "spec.fuse."})},
      {"GooseFSRuntime", Groups(kGooseFS, alluxio)},
      {"JindoRuntime", Groups(kJindo, {"spec.master.", "spec.worker.", "spec.fuse."})},
      {"JuiceFSRuntime",
       Groups(kJuiceFS, {"spec.master.", "spec.worker.", "spec.jobWorker.", "spec.fuse."})},
      {"ThinRuntime", Groups(kThin, {"spec.worker.", "spec.fuse."})},
      {"VineyardRuntime", Groups(kVineyard, {"spec.master.", "spec.worker.", "spec.fuse."})},
  };
}

}  // namespace forebay
