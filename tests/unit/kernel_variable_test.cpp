// PUNA_KERNELS: the kernel set of runtimes whose options name none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "puna/puna.hpp"
#include "support/kernel_tables.h"

namespace puna {
namespace {

// The variable has this value while the object lives.
class KernelsVariable {
  public:
    explicit KernelsVariable(const std::string& value) {
        if (const char* before = std::getenv(kName)) before_ = before;
        set(value);
    }
    ~KernelsVariable() { set(before_); }
    KernelsVariable(const KernelsVariable&) = delete;
    KernelsVariable& operator=(const KernelsVariable&) = delete;

  private:
    static constexpr const char* kName = "PUNA_KERNELS";

    static void set(const std::string& value) {
#ifdef _WIN32
        _putenv_s(kName, value.c_str());  // an empty value removes it
#else
        if (value.empty()) {
            unsetenv(kName);
        } else {
            setenv(kName, value.c_str(), 1);
        }
#endif
    }

    std::string before_;
};

Result<Runtime> runtime_with(const char* kernels) {
    RuntimeOptions options;
    options.n_threads = 1;
    options.kernels = kernels;
    return Runtime::try_create(options);
}

TEST(KernelVariable, NamesTheSetOfARuntime) {
    for (const core::KernelTable& table : test::runnable_kernel_tables()) {
        const KernelsVariable variable(table.name);
        const auto runtime = runtime_with(nullptr);
        ASSERT_TRUE(runtime.ok()) << table.name;
        EXPECT_STREQ(runtime->devices()[0].kernels, table.name);
    }
}

TEST(KernelVariable, GivesWayToTheOption) {
    const KernelsVariable variable("abacus");
    const auto runtime = runtime_with("scalar");
    ASSERT_TRUE(runtime.ok());
    EXPECT_STREQ(runtime->devices()[0].kernels, "scalar");
}

TEST(KernelVariable, UnknownNameIsRefused) {
    const KernelsVariable variable("abacus");
    const auto runtime = runtime_with(nullptr);
    ASSERT_FALSE(runtime.ok());
    EXPECT_EQ(runtime.failure().status, PUNA_ERROR_UNSUPPORTED);
    EXPECT_NE(std::string(runtime.failure().message).find("abacus"), std::string::npos);
}

TEST(KernelVariable, WithoutItTheBestIsTaken) {
    const KernelsVariable variable("");
    const auto runtime = runtime_with(nullptr);
    ASSERT_TRUE(runtime.ok());
    EXPECT_STREQ(runtime->devices()[0].kernels, test::runnable_kernel_tables().back().name);
}

}  // namespace
}  // namespace puna
