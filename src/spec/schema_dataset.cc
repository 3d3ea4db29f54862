#include <array>

#include "spec/schema.h"

namespace forebay {
namespace {

using enum FieldType;
using enum Effect;

constexpr std::string_view kOneMachine = "the workers are processes of this machine";

constexpr auto kDataset = std::to_array<Field>({
    {"mounts", kList, kUsed, "the stores that the dataset shows as one tree"},
    {"mounts[]", kMap, kUsed, "a store and its place in the tree"},
    {"mounts[].mountPoint", kText, kUsed, "the store"},
    {"mounts[].name", kText, kUsed, "a name; where there is no `path`, the place is /NAME"},
    {"mounts[].path", kText, kUsed, "the place in the dataset's tree"},
    {"mounts[].options", kOptions, kUsed, "options of the store"},
    {"mounts[].readOnly", kSwitch, kUsed, "nothing may be written through this mount"},
    {"mounts[].shared", kSwitch, kNothing,
     "a hint for Alluxio; here the namespace's users all see the dataset"},
    {"mounts[].encryptOptions", kList, kUsed, "options whose values are secrets, by reference"},
    {"mounts[].encryptOptions[]", kMap, kUsed, "an option and the secret that has its value"},
    {"mounts[].encryptOptions[].name", kText, kUsed, "the option"},
    {"mounts[].encryptOptions[].valueFrom", kMap, kUsed, "where its value is"},
    {"mounts[].encryptOptions[].valueFrom.secretKeyRef", kMap, kUsed, "a Kubernetes Secret"},
    {"mounts[].encryptOptions[].valueFrom.secretKeyRef.name", kText, kUsed, "the Secret"},
    {"mounts[].encryptOptions[].valueFrom.secretKeyRef.key", kText, kUsed, "the key in it"},
    {"owner", kMap, kDiffers, "who owns the files in a mount; without effect on reads",
     "set owner and modes where the dataset is mounted"},
    {"owner.uid", kWhole, kDiffers, "without effect on reads", "set it where it is mounted"},
    {"owner.gid", kWhole, kDiffers, "without effect on reads", "set it where it is mounted"},
    {"owner.user", kText, kDiffers, "without effect on reads", "set it where it is mounted"},
    {"owner.group", kText, kDiffers, "without effect on reads", "set it where it is mounted"},
    {"nodeAffinity", kMap, kUnsupported, "on which nodes cache workers may run"},
    {"nodeAffinity.required", kAny, kUnsupported,
     "on one machine there are no nodes to choose from: the workers run here, whatever it says",
     "nothing to do here; on other machines start `forebay worker` where the cache shall be"},
    {"tolerations", kAny, kUnsupported,
     "on one machine no node has taints; the workers run here, whatever it says",
     "nothing to do here"},
    {"accessModes", kList, kUsed, "whether the dataset may be written"},
    {"accessModes[]", kText, kUsed, "an access mode of Kubernetes"},
    {"runtimes", kList, kNothing, "the system fills this in; the runtime of the same name serves"},
    {"runtimes[]", kMap, kNothing, "a runtime announced beforehand"},
    {"runtimes[].name", kText, kNothing, "ignored: the runtime has the dataset's name"},
    {"runtimes[].namespace", kText, kNothing, "ignored: the runtime has the dataset's namespace"},
    {"runtimes[].category", kText, kNothing, "ignored: there is one category, the cache"},
    {"runtimes[].type", kText, kNothing, "ignored: every kind of runtime is the same engine here"},
    {"runtimes[].masterReplicas", kWhole, kNothing, "ignored: no master is needed to find a block"},
    {"placement", kText, kDiffers,
     "whether workers of several datasets may share a node; the workers of one machine serve all "
     "its datasets, whatever it says",
     "to keep datasets apart, start a group of its own with `forebay up --state-dir DIR`"},
    {"dataRestoreLocation", kMap, kUnsupported, "restores the metadata of Alluxio's master",
     "leave it out: listings come from the store itself"},
    {"dataRestoreLocation.path", kText, kUnsupported, "restores the metadata of Alluxio's master",
     "leave it out: listings come from the store itself"},
    {"dataRestoreLocation.nodeName", kText, kUnsupported, kOneMachine, "leave it out"},
    {"sharedOptions", kOptions, kUsed, "options of every mount; a mount's own options win"},
    {"sharedEncryptOptions", kList, kUsed, "secrets of every mount, by reference"},
    {"sharedEncryptOptions[]", kMap, kUsed, "an option and the secret that has its value"},
    {"sharedEncryptOptions[].name", kText, kUsed, "the option"},
    {"sharedEncryptOptions[].valueFrom", kMap, kUsed, "where its value is"},
    {"sharedEncryptOptions[].valueFrom.secretKeyRef", kMap, kUsed, "a Kubernetes Secret"},
    {"sharedEncryptOptions[].valueFrom.secretKeyRef.name", kText, kUsed, "the Secret"},
    {"sharedEncryptOptions[].valueFrom.secretKeyRef.key", kText, kUsed, "the key in it"},
});

}  // namespace

std::vector<FieldGroup> DatasetFields() {
  return {{"spec.", kDataset}};
}

}  // namespace forebay
