// How many threads are worth having here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace puna::core {

// Physical cores that this process may run on (hyper-threads of a core count once), capped by the
// CPU quota of its container, rounded down; at least 1.
int default_thread_count();

// The parts of it, for systems that describe themselves in text files. Used by Linux.

// "0-3,8,10-11" in ascending order without duplicates; empty when the text is not such a list.
std::vector<int> parse_cpu_list(std::string_view text);

// The cores among the `allowed` logical processors (ascending), by the files
// <cpu_root>/cpuN/topology/. A processor that is not described counts as a core. `cpu_root` is
// "/sys/devices/system/cpu".
int count_cores(const std::string& cpu_root, const std::vector<int>& allowed);

// The smallest quota, in processors, that the cgroups of this process and their ancestors set; 0
// for none. `root` is "" or a folder that stands for "/".
double cgroup_cpu_quota(const std::string& root);

}  // namespace puna::core
