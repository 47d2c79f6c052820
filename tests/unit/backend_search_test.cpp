// When a runtime looks for plugins: when devices or the report are first asked for, once.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "puna/puna.h"

namespace puna::core {
namespace {

// Counts the lines that say how a search ended, and asks for devices from within.
struct Listener {
    puna_runtime* runtime = nullptr;
    std::atomic<int> n_lines{0};

    static void PUNA_CALL write(int32_t, const char* text, size_t size, void* user) {
        auto& self = *static_cast<Listener*>(user);
        if (std::string(text, size).find("puna-cuda") == std::string::npos) return;
        ++self.n_lines;
        EXPECT_EQ(puna_runtime_n_devices(self.runtime), 1);
    }
};

TEST(BackendSearchThreads, HappensOnceWhenItIsNeeded) {
    Listener listener;
    puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
    options.n_threads = 1;
    options.log = Listener::write;
    options.log_user = &listener;
    options.log_level = PUNA_LOG_INFO;
    ASSERT_EQ(puna_runtime_create(&options, &listener.runtime, nullptr), PUNA_OK);
    puna_device_info cpu = PUNA_DEVICE_INFO_INIT;
    ASSERT_EQ(puna_runtime_device(listener.runtime, 0, &cpu, nullptr), PUNA_OK);
    EXPECT_EQ(listener.n_lines, 0);

    std::vector<std::thread> threads;
    std::atomic<int> n_devices{0};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { n_devices += puna_runtime_n_devices(listener.runtime); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_devices, 4);
    EXPECT_EQ(listener.n_lines, 1) << "tests have no plugin beside them";
    char report[4096];
    size_t needed = 0;
    ASSERT_EQ(puna_runtime_report(listener.runtime, report, sizeof report, &needed, nullptr),
              PUNA_OK);
    EXPECT_NE(std::string(report).find("\ncuda: "), std::string::npos) << report;
    EXPECT_EQ(listener.n_lines, 1);
    puna_runtime_destroy(listener.runtime);
}

// A logger that waits for another thread, which asks for devices meanwhile.
TEST(BackendSearchThreads, ItsLinesComeWhenItHasEnded) {
    puna_runtime* runtime = nullptr;
    puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
    options.n_threads = 1;
    options.log = [](int32_t, const char*, size_t, void* user) {
        puna_runtime* made = *static_cast<puna_runtime**>(user);
        if (!made) return;  // to make it may be worth a line too
        std::thread([made] { EXPECT_EQ(puna_runtime_n_devices(made), 1); }).join();
    };
    options.log_user = &runtime;
    options.log_level = PUNA_LOG_INFO;
    ASSERT_EQ(puna_runtime_create(&options, &runtime, nullptr), PUNA_OK);
    EXPECT_EQ(puna_runtime_n_devices(runtime), 1);
    puna_runtime_destroy(runtime);
}

// Whoever learns that a search was in vain may end the runtime, while others wait for the same search.
TEST(BackendSearchThreads, TheLoggerMayDestroyTheRuntime) {
    puna_runtime_options options = PUNA_RUNTIME_OPTIONS_INIT;
    options.n_threads = 1;
    options.log = [](int32_t, const char*, size_t, void* user) {
        puna_runtime_destroy(*static_cast<puna_runtime**>(user));
    };
    options.log_level = PUNA_LOG_INFO;
    puna_runtime* runtime = nullptr;
    options.log_user = &runtime;
    ASSERT_EQ(puna_runtime_create(&options, &runtime, nullptr), PUNA_OK);
    EXPECT_EQ(puna_runtime_n_devices(runtime), 1);
}

}  // namespace
}  // namespace puna::core
