// The metrics of all processes of a group as one: series of the same name and labels are added up.
#pragma once

#include <string>
#include <vector>

namespace forebay {

// `texts`: Prometheus text format 0.0.4, one of each process. Counters, histograms and gauges are
// sums over the processes; forebay_build_info counts processes by version. Lines that are none are
// left out. Pure. Cost: linear in the lines.
std::string MergeMetrics(const std::vector<std::string>& texts);

}  // namespace forebay
