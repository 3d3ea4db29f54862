#!/bin/sh
# in_mount.sh FOREBAY CONTROL DATASET FOLDER COMMAND...: runs COMMAND in a mount namespace of its
# own, in which DATASET is mounted at FOLDER/PID; AT in the arguments of COMMAND stands for that.
set -eu
if [ "${IN_MOUNT:-}" != 1 ]; then
  IN_MOUNT=1 exec unshare --mount --propagation private -- "$0" "$@"
fi
forebay=$1 control=$2 dataset=$3 at=$4/$$
shift 4
mkdir -p "$at"
"$forebay" mount "$dataset" "$at" --control "$control" --near-memory 0 \
  --log "$at.log" --quiet < /dev/null >&2
code=0
first=$1
shift
"$first" --mounted "$at" "$@" || code=$?
"$forebay" umount --lazy "$at"
exit "$code"
