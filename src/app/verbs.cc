#include "app/verbs.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace forebay {
namespace {

using Keys = std::vector<std::string_view>;

constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

Keys Joined(std::initializer_list<std::string_view> own,
            std::initializer_list<std::string_view> common) {
  Keys keys(own);
  keys.insert(keys.end(), common.begin(), common.end());
  return keys;
}

// Flags of the verbs that read through a client.
Keys Reading(std::initializer_list<std::string_view> own) {
  return Joined(own, {"members", "control", "state-dir", "read-timeout", "endpoint-url", "region",
                      "profile", "force-path-style", "no-sign-request", "requester-pays", "option",
                      "quiet", "progress", "config", "print-config"});
}

// Flags of the verbs that ask control.
Keys Asking(std::initializer_list<std::string_view> own) {
  return Joined(own, {"state-dir", "control", "quiet", "config", "print-config"});
}

constexpr std::string_view kUrls =
    "URLs: forebay://NAME[.NAMESPACE]/PATH (a dataset of the group), or s3://BUCKET/KEY (the key "
    "is taken literally), file:///DIR/FILE, local:///DIR/FILE.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";
constexpr std::string_view kNames =
    "NAME is a dataset of the namespace; NAME.NAMESPACE names one of any namespace.";
constexpr std::string_view kIds = "`forebay loads` shows the IDs.";

const std::array kVerbs = {
    Verb{"status",
         "[NAME]",
         "Show the group, its workers, datasets and loads",
         "All namespaces, or with -n one. With NAME that dataset alone. --watch draws again on a "
         "terminal, and otherwise prints again whenever something changed.",
         Asking({"output", "watch", "namespace"}),
         0,
         1,
         &RunStatusVerb,
         VerbGroup::kGroup,
         "forebay status --watch",
         {{"namespace", ""}}},
    Verb{"events",
         "",
         "Show what happened in the group",
         "All namespaces, or with -n one. -w goes on with what happens from now.",
         Asking({"watch", "output", "namespace"}),
         0,
         0,
         &RunEventsVerb,
         VerbGroup::kGroup,
         "forebay events -w",
         {{"namespace", ""}}},
    Verb{"metrics", "", "Print the Prometheus metrics of all processes of the group", "",
         Asking({}), 0, 0, &RunMetricsVerb, VerbGroup::kGroup,
         "forebay metrics | grep forebay_upstream_bytes_total"},
    Verb{"up",
         "",
         "Start a cache group on this host, and keep it up",
         "Control and N workers. Runs until SIGINT, SIGTERM or `forebay down`, and then takes the "
         "workers and their caches with it; datasets are kept. With --detach it returns when all "
         "workers are ready. If control was killed, its workers go on, and `up` takes them over.",
         {"workers", "memory-per-worker", "block-size-max", "listen", "insecure", "detach",
          "state-dir", "quiet", "config", "print-config"},
         0,
         0,
         &RunUpVerb,
         VerbGroup::kGroup,
         "forebay up --workers 4 --memory-per-worker 2GiB --detach",
         {{"workers", "2"}}},
    Verb{"down",
         "",
         "Stop the group that `up` started here, and leave nothing behind",
         "Datasets and their secrets are kept for the next `up`.",
         {"timeout", "force", "state-dir", "quiet", "config", "print-config"},
         0,
         0,
         &RunDownVerb,
         VerbGroup::kGroup,
         "forebay down",
         {{"timeout", "30s"}, {"workers", "2"}}},
    Verb{"worker",
         "",
         "Serve a part of a pool's memory",
         "Prints `ready NAME ADDRESS` once it serves and its group knows it: that of --control, or "
         "with "
         "--members a fixed one. SIGTERM and SIGINT stop it in order and drop "
         "the tier.\nWith --role near it is beside the ring, for the mounts of this host and of "
         "this "
         "state directory: it keeps the files that they read whole, and takes --memory, but no "
         "--name "
         "and no --address.\nCredentials of the store come from the environment, as for the AWS "
         "command "
         "line.",
         {"name", "address", "memory", "role", "control", "members", "block-size-max", "tier-dir",
          "http", "insecure", "read-timeout", "state-dir", "quiet", "config", "print-config"},
         0,
         0,
         &RunWorkerVerb,
         VerbGroup::kGroup,
         "forebay worker --name w-0 --address unix:/run/w0 --memory 2Gi --members m.yaml"},

    Verb{
        "dataset create", "NAME", "Name what shall be cached, or change it",
        "Exit code 0 once it is stored, whether or not the store answers. PATH=URL lays a store at "
        "PATH of the dataset; options and secrets hold for all mounts. Secrets go over the "
        "group's unix socket only.\nURLs: s3://BUCKET/PREFIX, file:///DIR. Options: endpoint, "
        "region, path-style, anonymous, requester-pays, max-connections, access-key-id; secrets: "
        "secret-access-key, session-token.",
        Asking({"mount", "option", "secret", "staleness", "block-size", "namespace"}), 1, 1,
        &RunDatasetCreateVerb, VerbGroup::kDatasets,
        "forebay dataset create prices --mount s3://lake/prices"},
    Verb{"dataset show", "NAME", "Show one dataset", kNames, Asking({"output", "namespace"}), 1, 1,
         &RunDatasetShowVerb, VerbGroup::kDatasets, "forebay dataset show prices -o yaml"},
    Verb{"dataset refresh", "NAME [PATH]", "Ask the store again what is there", kNames,
         Asking({"namespace"}), 1, 2, &RunDatasetRefreshVerb, VerbGroup::kDatasets,
         "forebay dataset refresh prices /2024"},
    Verb{"dataset delete", "NAME", "Forget a dataset, and drop what is cached of it",
         "The store is not touched.", Asking({"namespace"}), 1, 1, &RunDatasetDeleteVerb,
         VerbGroup::kDatasets, "forebay dataset delete prices"},
    Verb{"datasets", "", "List the datasets of a namespace", "",
         Asking({"output", "namespace", "all-namespaces"}), 0, 0, &RunDatasetsVerb,
         VerbGroup::kDatasets, "forebay datasets -A -o wide"},
    Verb{"apply", "", "Create or change what documents describe",
         "Dataset and *Runtime documents, as for kubectl. Exit code 0 once they are stored; 2, and "
         "nothing is changed, if one of them is invalid. `forebay explain -f FILE` says what they "
         "mean here.",
         Asking({"file", "dry-run"}), 0, 0, &RunApplyVerb, VerbGroup::kDatasets,
         "forebay apply -f datasets.yaml --dry-run"},
    Verb{"delete", "", "Delete what documents describe", "", Asking({"file", "dry-run"}), 0, 0,
         &RunDeleteVerb, VerbGroup::kDatasets, "forebay delete -f datasets.yaml"},

    Verb{
        "load", "NAME [PATH|GLOB...]", "Fill the cache with a dataset, or with parts of it",
        "Waits with progress until every block is held and its checksum was compared. An interrupt "
        "stops the waiting and pauses the load; --timeout leaves it running (exit code 124); "
        "--detach prints its ID.\nGLOBs: * within a name, ** across directories, ?, [a-z]; quote "
        "them.",
        Asking({"detach", "timeout", "throttle", "replicas", "namespace", "progress"}), 1,
        kAnyNumber, &RunLoadVerb, VerbGroup::kWarm,
        "forebay load prices '/2024/**' --throttle 200MiB/s"},
    Verb{"loads", "", "List loads", "", Asking({"output", "namespace", "all-namespaces"}), 0, 0,
         &RunLoadsVerb, VerbGroup::kWarm, "forebay loads"},
    Verb{"load-pause", "ID", "Pause a load that runs", kIds, Asking({}), 1, 1, &RunLoadPauseVerb,
         VerbGroup::kWarm, "forebay load-pause 7f3a"},
    Verb{"load-resume", "ID", "Go on with a load that was paused", kIds, Asking({}), 1, 1,
         &RunLoadResumeVerb, VerbGroup::kWarm, "forebay load-resume 7f3a"},
    Verb{"load-cancel", "ID", "End a load; what it cached stays", kIds, Asking({}), 1, 1,
         &RunLoadCancelVerb, VerbGroup::kWarm, "forebay load-cancel 7f3a"},
    Verb{
        "wait",
        "NAME",
        "Wait until a dataset is cached, or workers are ready",
        "Exit code 124, and what is missing, if that is not so within --timeout. Nothing is loaded "
        "by waiting.",
        Asking({"cached", "path", "workers", "timeout", "namespace"}),
        1,
        1,
        &RunWaitVerb,
        VerbGroup::kWarm,
        "forebay wait prices --cached 95% --timeout 10m && python train.py",
        {{"timeout", "10m"}}},
    Verb{"evict", "NAME [PATH...]", "Drop what is cached of a dataset, or of some paths of it",
         "The store is not touched.", Asking({"namespace"}), 1, kAnyNumber, &RunEvictVerb,
         VerbGroup::kWarm, "forebay evict prices /2019 /2020"},

    Verb{
        "mount", "NAME|URL DIR", "Mount a dataset, or a store, at a directory; read-only",
        "NAME is a dataset of the namespace, NAME.NAMESPACE one of any; forebay://NAME/PATH mounts "
        "a part of it. A URL of a store is read through the pool of --members, and without it "
        "straight from the store.\nReturns when the mount is usable, which then stays until "
        "`forebay umount DIR`, or SIGTERM to its process. Root's mounts are readable by all users "
        "(allow_other, default_permissions).\nA line of /etc/fstab, with the link mount.forebay in "
        "/sbin: "
        "forebay://prices /mnt/prices forebay ro,_netdev,nofail 0 0",
        Reading({"foreground", "options", "read-only", "allow-other", "uid", "gid", "file-mode",
                 "dir-mode", "metadata-ttl", "near-memory", "log", "namespace"}),
        2, 2, &RunMountVerb, VerbGroup::kMount, "forebay mount prices /mnt/prices"},
    Verb{"umount",
         "DIR",
         "Unmount what `forebay mount` mounted",
         "Also if the process that served it is dead. Refuses while files in it are open, unless "
         "--lazy.",
         {"lazy", "quiet", "config", "print-config"},
         1,
         1,
         &RunUmountVerb,
         VerbGroup::kMount,
         "forebay umount /mnt/prices"},

    Verb{"cat", "URL...", "Write files to standard output, one after the other", kUrls, Reading({}),
         1, kAnyNumber, &RunCatVerb, VerbGroup::kRead, "forebay cat s3://lake/prices/a.csv | head"},
    Verb{"stat", "URL...", "Show type, size, time and version of files and directories", kUrls,
         Reading({"output"}), 1, kAnyNumber, &RunStatVerb, VerbGroup::kRead,
         "forebay stat s3://lake/prices/a.csv -o json"},
    Verb{"ls", "URL...", "List directories", kUrls, Reading({"output", "recursive"}), 1, kAnyNumber,
         &RunLsVerb, VerbGroup::kRead, "forebay ls -r s3://lake/prices"},
    Verb{"cp", "URL... DIR", "Copy files or trees into a local directory, as cp(1) does", kUrls,
         Reading({"recursive"}), 2, kAnyNumber, &RunCpVerb, VerbGroup::kRead,
         "forebay cp -r s3://lake/prices/2024 /scratch"},
    Verb{"verify", "URL...", "Compare every byte as the pool and as the store give it",
         "Names what differs on standard output; exit code 1 then.", Reading({}), 1, kAnyNumber,
         &RunVerifyVerb, VerbGroup::kRead,
         "forebay verify s3://lake/prices --members members.yaml"},

    Verb{"explain",
         "-f FILE",
         "Show what Dataset and Runtime documents mean here, field by field",
         "Changes nothing and needs nothing running. Exit codes: 0 valid, 2 invalid.",
         {"file", "output", "quiet", "config", "print-config"},
         0,
         0,
         &RunExplainVerb,
         VerbGroup::kDatasets,
         "forebay explain -f datasets.yaml"},
    Verb{
        "bench read", "URL...", "Read files with many tasks at once, and measure",
        "Every task reads every file once, in the order listed, from one start signal.\nFormats of "
        "the result: table, json.",
        Reading({"tasks", "processes", "output"}), 1, kAnyNumber, &RunBenchReadVerb,
        VerbGroup::kMeasure,
        "forebay bench read s3://lake/a s3://lake/b --tasks 100 --processes 4"},
    Verb{"bench fill", "URL...", "Have the pool hold files; no bytes come back here",
         "Formats of the result: table, json.", Reading({"output"}), 1, kAnyNumber,
         &RunBenchFillVerb, VerbGroup::kMeasure,
         "forebay bench fill s3://lake/a --members members.yaml"},
    Verb{"bench process",
         "",
         "One process of `bench read`; speaks with it over standard streams",
         "",
         Reading({}),
         0,
         0,
         &RunBenchProcessVerb,
         VerbGroup::kMeasure,
         "",
         {},
         true},

    Verb{"doctor", "", "Check this machine and the way to the group and the stores",
         "A line a check: ok, warn or fail, and what to do. Exit code 1 if one of them fails. URLs "
         "of stores to reach may be given with --mount, and their options with --option.",
         Asking({"output", "mount", "option"}), 0, 0, &RunDoctorVerb, VerbGroup::kSelf,
         "forebay doctor --mount s3://lake/prices"},
    Verb{"version",
         "",
         "Show the version",
         "",
         {"output"},
         0,
         0,
         &RunVersionVerb,
         VerbGroup::kSelf,
         "forebay version -o json"},
    Verb{"completion",
         "bash|zsh|fish",
         "Print what makes a shell complete verbs, flags and names",
         "bash: source <(forebay completion bash), or write it to\n"
         "      ~/.local/share/bash-completion/completions/forebay\n"
         "zsh:  forebay completion zsh > \"${fpath[1]}/_forebay\"\n"
         "fish: forebay completion fish > ~/.config/fish/completions/forebay.fish",
         {},
         1,
         1,
         &RunCompletionVerb,
         VerbGroup::kSelf,
         "source <(forebay completion bash)"},
    Verb{"complete",
         "WORD...",
         "The candidates for the last of the words of a command line",
         "",
         {},
         0,
         kAnyNumber,
         &RunCompleteVerb,
         VerbGroup::kSelf,
         "",
         {},
         true},
};

}  // namespace

std::span<const Verb> AllVerbs() {
  return kVerbs;
}

std::vector<std::string> ShownFlags(std::string_view verb) {
  const auto* const found = std::ranges::find(kVerbs, verb, &Verb::name);
  CHECK(found != kVerbs.end());
  std::vector<std::string> keys(found->flags.begin(), found->flags.end());
  std::erase(keys, "print-config");
  return keys;
}

}  // namespace forebay
