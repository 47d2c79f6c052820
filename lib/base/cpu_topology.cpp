#include "base/cpu_topology.h"

#include <algorithm>
#include <charconv>

#include "base/file_reader.h"

namespace puna::core {
namespace {

constexpr size_t kMaxFileSize = 1 << 20;
constexpr int kMaxCpu = 1 << 16;  // beyond any kernel's limit; bounds the lists we build

std::string read_or_empty(const std::string& path) {
    Result<std::string> text = read_text_file(path, kMaxFileSize);
    return text.ok() ? std::move(*text) : std::string();
}

// Takes the text up to the separator, or all of it, from the front.
std::string_view take_until(std::string_view& text, char separator) {
    const size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

template <class T>
bool parse_number(std::string_view text, T* out) {
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, *out);
    return result.ec == std::errc() && result.ptr == end;
}

double quota_of(int64_t quota_us, int64_t period_us) {
    if (quota_us <= 0 || period_us <= 0) return 0;
    return static_cast<double>(quota_us) / static_cast<double>(period_us);
}

// "max 100000" or "150000 100000".
double read_quota_v2(const std::string& folder) {
    const std::string file = read_or_empty(folder + "/cpu.max");
    std::string_view text = file;
    std::string_view line = take_until(text, '\n');
    int64_t quota = 0;
    int64_t period = 0;
    if (!parse_number(take_until(line, ' '), &quota) || !parse_number(line, &period)) return 0;
    return quota_of(quota, period);
}

// A quota of -1 means none.
double read_quota_v1(const std::string& folder) {
    const auto read_number = [&](const char* name) {
        const std::string file = read_or_empty(folder + name);
        std::string_view text = file;
        int64_t value = 0;
        return parse_number(take_until(text, '\n'), &value) ? value : 0;
    };
    const int64_t quota = read_number("/cpu.cfs_quota_us");
    return quota > 0 ? quota_of(quota, read_number("/cpu.cfs_period_us")) : 0;
}

void keep_smaller(double quota, double* smallest) {
    if (quota > 0 && (*smallest == 0 || quota < *smallest)) *smallest = quota;
}

// A limit of any ancestor holds too. Inside a container the upper part of the path may not be
// mounted, then only the mount's own folder is found.
double walk_up(const std::string& mount, std::string path,
               double (*read_quota)(const std::string&)) {
    double smallest = 0;
    // Seen from another cgroup namespace the path leads out of the mount.
    if (path.find("/..") != std::string::npos) path.clear();
    while (!path.empty() && path != "/") {
        keep_smaller(read_quota(mount + path), &smallest);
        path.resize(std::min(path.rfind('/'), path.size() - 1));
    }
    keep_smaller(read_quota(mount), &smallest);
    return smallest;
}

bool has_controller(std::string_view controllers, std::string_view wanted) {
    while (!controllers.empty()) {
        if (take_until(controllers, ',') == wanted) return true;
    }
    return false;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    std::vector<int> cpus;
    while (!text.empty()) {
        std::string_view range = take_until(text, ',');
        const bool single = range.find('-') == std::string_view::npos;
        int first = 0;
        if (!parse_number(take_until(range, '-'), &first)) return {};
        int last = first;
        if (!single && !parse_number(range, &last)) return {};
        if (first < 0 || last < first || last > kMaxCpu) return {};
        if (cpus.size() > kMaxCpu) return {};
        for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    }
    std::sort(cpus.begin(), cpus.end());
    cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
    return cpus;
}

int count_cores(const std::string& cpu_root, const std::vector<int>& allowed) {
    const auto is_allowed = [&](int cpu) {
        return std::binary_search(allowed.begin(), allowed.end(), cpu);
    };
    int n_cores = 0;
    for (const int cpu : allowed) {
        const std::string folder = cpu_root + "/cpu" + std::to_string(cpu) + "/topology";
        std::vector<int> siblings = parse_cpu_list(read_or_empty(folder + "/core_cpus_list"));
        if (siblings.empty()) {  // the name before Linux 5.3
            siblings = parse_cpu_list(read_or_empty(folder + "/thread_siblings_list"));
        }
        // The first of the siblings that we may use stands for the core.
        const auto first = std::find_if(siblings.begin(), siblings.end(), is_allowed);
        if (first == siblings.end() || *first == cpu) ++n_cores;
    }
    return n_cores;
}

double cgroup_cpu_quota(const std::string& root) {
    const std::string file = read_or_empty(root + "/proc/self/cgroup");
    const std::string mounts = root + "/sys/fs/cgroup";
    double smallest = 0;
    for (std::string_view text = file; !text.empty();) {
        std::string_view line = take_until(text, '\n');  // "hierarchy:controllers:path"
        const std::string_view hierarchy = take_until(line, ':');
        const std::string_view controllers = take_until(line, ':');
        const std::string path(line);
        if (hierarchy == "0" && controllers.empty()) {
            keep_smaller(walk_up(mounts, path, read_quota_v2), &smallest);
            keep_smaller(walk_up(mounts + "/unified", path, read_quota_v2), &smallest);
        } else if (has_controller(controllers, "cpu")) {
            // "cpu" is usually a link to the folder named by all controllers of the hierarchy.
            keep_smaller(walk_up(mounts + "/cpu", path, read_quota_v1), &smallest);
            keep_smaller(walk_up(mounts + "/" + std::string(controllers), path, read_quota_v1),
                         &smallest);
        }
    }
    return smallest;
}

}  // namespace puna::core
