#include "base/shared_library.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "support/temp_folder.h"

namespace puna::core {
namespace {

#if defined(_WIN32)
constexpr const char* kLibrary = "msvcrt.dll";
#elif defined(__APPLE__)
constexpr const char* kLibrary = "/usr/lib/libSystem.B.dylib";
#else
constexpr const char* kLibrary = "libm.so.6";
#endif

TEST(SharedLibrary, FindsSymbols) {
    Result<SharedLibrary> library = SharedLibrary::open(kLibrary);
    ASSERT_TRUE(library.ok()) << library.status().text();
    const SharedLibrary moved = std::move(*library);
    EXPECT_EQ(library->symbol("cos"), nullptr);
    const auto cosine = reinterpret_cast<double (*)(double)>(moved.symbol("cos"));
    ASSERT_NE(cosine, nullptr);
    EXPECT_EQ(cosine(0.0), 1.0);
    EXPECT_EQ(moved.symbol("puna_no_such_symbol"), nullptr);
}

TEST(SharedLibrary, ErrorsNameThePathAndTheReason) {
    const test::TempFolder folder;
    const Result<SharedLibrary> missing = SharedLibrary::open(folder.path("libmissing.so"));
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.status().code(), PUNA_ERROR_IO);
    const std::string text = missing.status().text();
    const size_t name = text.find("libmissing.so: ");
    ASSERT_NE(name, std::string::npos) << text;
    EXPECT_GT(text.size(), name + 30) << text;

    EXPECT_EQ(SharedLibrary::open(folder.write("bad.so", "no library")).status().code(),
              PUNA_ERROR_IO);
    EXPECT_EQ(SharedLibrary::open("").status().code(), PUNA_ERROR_ARGUMENT);
}

TEST(OwnDirectory, HoldsThisProgram) {
    const Result<std::string> folder = own_directory();
    ASSERT_TRUE(folder.ok()) << folder.status().text();
    EXPECT_TRUE(std::filesystem::path(*folder).is_absolute());
    EXPECT_TRUE(std::filesystem::is_directory(*folder));
#if defined(__linux__)
    EXPECT_EQ(*folder, std::filesystem::read_symlink("/proc/self/exe").parent_path());
#endif
}

// Also from another working folder, although the program may have been started by a relative path.
TEST(OwnDirectory, DoesNotDependOnTheWorkingFolder) {
    const std::filesystem::path before = std::filesystem::current_path();
    const Result<std::string> here = own_directory();
    const test::TempFolder folder;
    std::filesystem::current_path(folder.path());
    const Result<std::string> there = own_directory();
    std::filesystem::current_path(before);
    ASSERT_TRUE(here.ok() && there.ok()) << there.status().text();
    EXPECT_EQ(*here, *there);
}

}  // namespace
}  // namespace puna::core
