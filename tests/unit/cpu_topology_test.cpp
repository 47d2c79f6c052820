#include "base/cpu_topology.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/temp_folder.h"

namespace puna::core {
namespace {

using Cpus = std::vector<int>;

TEST(ParseCpuList, TakesRangesAndNumbers) {
    EXPECT_EQ(parse_cpu_list("0"), Cpus({0}));
    EXPECT_EQ(parse_cpu_list("0-3\n"), Cpus({0, 1, 2, 3}));
    EXPECT_EQ(parse_cpu_list("0-2,8,10-11\n"), Cpus({0, 1, 2, 8, 10, 11}));
    EXPECT_EQ(parse_cpu_list("8,1-2,2"), Cpus({1, 2, 8}));
}

TEST(ParseCpuList, RefusesWhatIsNoList) {
    for (const char* text : {"", "\n", "x", "1-", "-1", "3-1", "1,,2", "1;2", "1 2", "0x1",
                             "0-99999999", "99999999999999999999"}) {
        EXPECT_EQ(parse_cpu_list(text), Cpus()) << text;
    }
    std::string huge = "0-65535";
    for (int i = 0; i < 1000; ++i) huge += ",0-65535";
    EXPECT_EQ(parse_cpu_list(huge), Cpus());
}

// Four cores with two hyper-threads each: N and N + 4.
void write_cores(const test::TempFolder& folder, const char* file) {
    for (int cpu = 0; cpu < 8; ++cpu) {
        const std::string first = std::to_string(cpu % 4);
        const std::string second = std::to_string(cpu % 4 + 4);
        folder.write("cpu" + std::to_string(cpu) + "/topology/" + file,
                     first + "," + second + "\n");
    }
}

TEST(CountCores, CountsHyperThreadsOnce) {
    for (const char* file : {"core_cpus_list", "thread_siblings_list"}) {
        const test::TempFolder folder;
        write_cores(folder, file);
        EXPECT_EQ(count_cores(folder.path(), {0, 1, 2, 3, 4, 5, 6, 7}), 4);
        EXPECT_EQ(count_cores(folder.path(), {0, 4}), 1);
        EXPECT_EQ(count_cores(folder.path(), {0, 5}), 2);
        EXPECT_EQ(count_cores(folder.path(), {4, 5, 6}), 3);  // the first hyper-threads not allowed
        EXPECT_EQ(count_cores(folder.path(), {1, 2, 5}), 2);
        EXPECT_EQ(count_cores(folder.path(), {}), 0);
    }
}

TEST(CountCores, WithoutADescriptionEveryProcessorIsACore) {
    const test::TempFolder folder;
    EXPECT_EQ(count_cores(folder.path(), {0, 1, 2}), 3);
    folder.write("cpu0/topology/core_cpus_list", "nonsense");
    folder.write("cpu1/topology/core_cpus_list", "5-6");
    EXPECT_EQ(count_cores(folder.path(), {0, 1, 2}), 3);
}

TEST(CgroupQuota, NoneWithoutCgroups) {
    const test::TempFolder folder;
    EXPECT_EQ(cgroup_cpu_quota(folder.path()), 0);
    folder.write("proc/self/cgroup", "0::/\n");
    EXPECT_EQ(cgroup_cpu_quota(folder.path()), 0);
    folder.write("sys/fs/cgroup/cpu.max", "max 100000\n");
    EXPECT_EQ(cgroup_cpu_quota(folder.path()), 0);
}

TEST(CgroupQuota, Version2TakesTheSmallestOfAllAncestors) {
    const test::TempFolder folder;
    folder.write("proc/self/cgroup", "0::/user.slice/app.service/worker\n");
    folder.write("sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n");
    folder.write("sys/fs/cgroup/user.slice/app.service/cpu.max", "max 100000\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 2.5);
    folder.write("sys/fs/cgroup/user.slice/app.service/worker/cpu.max", "400000 100000\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 2.5);
    folder.write("sys/fs/cgroup/user.slice/app.service/worker/cpu.max", "75000 50000\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 1.5);
}

TEST(CgroupQuota, InAContainerOnlyTheMountIsSeen) {
    const test::TempFolder folder;
    folder.write("proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    folder.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 2);
    folder.write("proc/self/cgroup", "0::/../other\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 2);
}

TEST(CgroupQuota, Version1ReadsTheCpuController) {
    const test::TempFolder folder;
    folder.write("proc/self/cgroup",
                 "12:cpuset:/a\n"
                 "4:cpu,cpuacct:/a/b\n"
                 "1:name=systemd:/a\n"
                 "0::/\n");
    folder.write("sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "1\n");
    folder.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    folder.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cgroup_cpu_quota(folder.path()), 0);
    folder.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "350000\n");
    folder.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    EXPECT_DOUBLE_EQ(cgroup_cpu_quota(folder.path()), 3.5);
}

TEST(CgroupQuota, NonsenseIsNoQuota) {
    const test::TempFolder folder;
    folder.write("proc/self/cgroup", "garbage\n0\n::\n0::/x\n1:cpu:/x");
    for (const char* text : {"", "100000", "a b", "100000 0", "-5 100000", "0 100000",
                             "99999999999999999999 100000"}) {
        folder.write("sys/fs/cgroup/x/cpu.max", text);
        EXPECT_EQ(cgroup_cpu_quota(folder.path()), 0) << text;
    }
}

TEST(DefaultThreadCount, IsWithinWhatTheMachineHas) {
    const int n = default_thread_count();
    EXPECT_GE(n, 1);
    EXPECT_LE(n, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace puna::core
