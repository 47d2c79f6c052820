#include "format/gguf_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "format/byte_source.h"
#include "format/gguf_reader.h"
#include "format/split_name.h"
#include "support/temp_folder.h"

namespace puna::core {
namespace {

using test::TempFolder;

std::string read_file(const std::string& path) {
    std::ifstream file(std::filesystem::path(std::u8string(path.begin(), path.end())),
                       std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

size_t n_files(const TempFolder& folder) {
    const auto path = folder.path();
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path),
                                             std::filesystem::directory_iterator()));
}

// The n-th byte that a tensor was filled with is n % 251 + the length of its name.
struct Counter {
    Status operator()(const GgufWriter::Tensor& tensor, std::span<std::byte> bytes) {
        if (tensor.name != name) {
            name = tensor.name;
            n = 0;
        }
        for (std::byte& byte : bytes) byte = std::byte(n++ % 251 + name.size());
        return {};
    }
    std::string name;
    size_t n = 0;
};

void expect_data(const std::string& file, const GgufTensor& tensor) {
    ASSERT_LE(tensor.offset + tensor.n_bytes, file.size());
    EXPECT_EQ(tensor.offset % GgufWriter::kAlignment, 0u);
    for (size_t i = 0; i < tensor.n_bytes; ++i) {
        ASSERT_EQ(static_cast<uint8_t>(file[tensor.offset + i]),
                  static_cast<uint8_t>(i % 251 + tensor.name.size()))
            << tensor.name << " byte " << i;
    }
}

struct ReadBack {
    explicit ReadBack(const std::string& path) : bytes(read_file(path)) {
        SpanSource source(std::as_bytes(std::span(bytes)));
        auto result = read_gguf(source, "written");
        if (result.ok()) {
            header = std::move(*result);
        } else {
            ADD_FAILURE() << result.status().text();
        }
    }
    std::string bytes;
    GgufHeader header;
};

void set_one_of_each(GgufWriter& writer) {
    writer.set_string("general.architecture", "llama");
    writer.set_u16("u16", 65535);
    writer.set_u32("u32", 4000000000u);
    writer.set_i32("i32", -5);
    writer.set_f32("f32", 0.1f);
    writer.set_bool("bool", true);
    writer.set_string("empty", "");
    writer.set_strings("strings", std::vector<std::string>{"a", "", "\xe2\x96\x81"});
    writer.set_f32s("f32s", std::vector<float>{1.5f, -2.0f});
    writer.set_i32s("i32s", std::vector<int32_t>{});
}

void expect_one_of_each(const GgufHeader& header) {
    EXPECT_EQ(*header.get_string("general.architecture"), "llama");
    EXPECT_EQ(*header.get_u32("u16"), 65535u);
    EXPECT_EQ(*header.get_u32("u32"), 4000000000u);
    EXPECT_EQ(gguf_load_integer(GgufType::kInt32, header.find("i32")->bytes.data()),
              static_cast<uint64_t>(-5));
    EXPECT_EQ(*header.get_f32("f32"), 0.1f);
    EXPECT_TRUE(*header.get_bool("bool"));
    EXPECT_EQ(*header.get_string("empty"), "");
    const GgufStrings strings = *header.get_strings("strings");
    EXPECT_EQ(std::vector<std::string>(strings.begin(), strings.end()),
              (std::vector<std::string>{"a", "", "\xe2\x96\x81"}));
    const auto floats = *header.get_f32s("f32s", 2);
    EXPECT_EQ(floats[0], 1.5f);
    EXPECT_EQ(floats[1], -2.0f);
    EXPECT_EQ(header.get_i32s("i32s")->size(), 0u);
}

TEST(GgufWriter, ValuesAndTensorsComeBack) {
    const TempFolder folder;
    GgufWriter writer;
    set_one_of_each(writer);
    writer.set_u32("u32", 7);  // replaced, in its place
    writer.set_u32("u32", 4000000000u);
    ASSERT_TRUE(writer.add_tensor("a", BlockFormat::kF32, std::array<uint64_t, 1>{5}).ok());
    ASSERT_TRUE(
        writer.add_tensor("big", BlockFormat::kQ8_0, std::array<uint64_t, 2>{96, 60000}).ok());
    ASSERT_TRUE(
        writer.add_tensor("four", BlockFormat::kF16, std::array<uint64_t, 4>{3, 2, 1, 2}).ok());
    EXPECT_EQ(writer.data_bytes(), 20u + 3 * 34 * 60000 + 24);
    const std::string path = folder.path("\xc3\xb6.gguf");
    const auto count = writer.write(path, 0, Counter());
    ASSERT_TRUE(count.ok()) << count.status().text();
    EXPECT_EQ(*count, 1u);
    EXPECT_EQ(n_files(folder), 1u);

    const ReadBack back(path);
    expect_one_of_each(back.header);
    EXPECT_EQ(back.header.entries()[2].key, "u32");
    ASSERT_EQ(back.header.tensors().size(), 3u);
    for (const GgufTensor& tensor : back.header.tensors()) expect_data(back.bytes, tensor);
    EXPECT_EQ(back.header.tensors()[2].ne, (std::array<uint64_t, 4>{3, 2, 1, 2}));
}

TEST(GgufWriter, CopiesAnyValue) {
    const TempFolder folder;
    GgufWriter writer;
    set_one_of_each(writer);
    ASSERT_TRUE(writer.write(folder.path("one.gguf"), 0, Counter()).ok());
    const ReadBack one(folder.path("one.gguf"));
    GgufWriter copy;
    for (const GgufEntry& entry : one.header.entries()) copy.copy(entry);
    ASSERT_TRUE(copy.write(folder.path("two.gguf"), 0, Counter()).ok());
    EXPECT_EQ(one.bytes, read_file(folder.path("two.gguf")));
}

TEST(GgufWriter, SplitsBetweenTensors) {
    const TempFolder folder;
    GgufWriter writer;
    writer.set_string("general.architecture", "llama");
    for (const char* name : {"a", "bb", "ccc", "dddd", "eeeee"}) {
        ASSERT_TRUE(writer.add_tensor(name, BlockFormat::kF32, std::array<uint64_t, 1>{25}).ok());
    }
    const auto count = writer.write(folder.path("m.gguf"), 250, Counter());
    ASSERT_TRUE(count.ok()) << count.status().text();
    ASSERT_EQ(*count, 3u);
    EXPECT_EQ(n_files(folder), 3u);
    std::string names;
    for (uint32_t part = 1; part <= 3; ++part) {
        const ReadBack back(folder.path("m-0000" + std::to_string(part) + "-of-00003.gguf"));
        EXPECT_EQ(*back.header.get_u32("split.no"), part - 1);
        EXPECT_EQ(*back.header.get_u32("split.count"), 3u);
        EXPECT_EQ(*back.header.get_u32("split.tensors.count"), 5u);
        EXPECT_EQ(back.header.has("general.architecture"), part == 1);
        for (const GgufTensor& tensor : back.header.tensors()) {
            expect_data(back.bytes, tensor);
            names +=
                std::string(tensor.name) + (&tensor == &back.header.tensors().back() ? "|" : " ");
        }
    }
    EXPECT_EQ(names, "a bb|ccc dddd|eeeee|");
}

TEST(GgufWriter, OneTensorPerPartAtLeast) {
    const TempFolder folder;
    GgufWriter writer;
    for (const char* name : {"a", "b"}) {
        ASSERT_TRUE(writer.add_tensor(name, BlockFormat::kF32, std::array<uint64_t, 1>{25}).ok());
    }
    EXPECT_EQ(*writer.write(folder.path("m.gguf"), 1, Counter()), 2u);
    EXPECT_EQ(*writer.write(folder.path("whole.gguf"), 200, Counter()), 1u);
    EXPECT_TRUE(std::filesystem::exists(folder.path("whole.gguf")));
}

TEST(GgufWriter, FailuresLeaveTheOldFile) {
    const TempFolder folder;
    const std::string path = folder.write("m.gguf", "old");
    GgufWriter writer;
    ASSERT_TRUE(writer.add_tensor("a", BlockFormat::kF32, std::array<uint64_t, 1>{25}).ok());
    const auto stopped = writer.write(path, 0, [](const GgufWriter::Tensor&, std::span<std::byte>) {
        return make_status(PUNA_ERROR_CANCELLED, "enough");
    });
    EXPECT_EQ(stopped.status().code(), PUNA_ERROR_CANCELLED);
    EXPECT_EQ(read_file(path), "old");
    EXPECT_EQ(n_files(folder), 1u);

    EXPECT_EQ(writer.write(folder.path(), 0, Counter()).status().code(), PUNA_ERROR_IO);
    EXPECT_EQ(writer.write(folder.path("no/such/m.gguf"), 0, Counter()).status().code(),
              PUNA_ERROR_IO);
    EXPECT_EQ(writer.write("", 0, Counter()).status().code(), PUNA_ERROR_ARGUMENT);

    ASSERT_TRUE(writer.write(path, 0, Counter()).ok());
    EXPECT_EQ(read_file(path).substr(0, 4), "GGUF");
    EXPECT_EQ(n_files(folder), 1u);
}

TEST(GgufWriter, RefusesTensorsThatCannotBe) {
    GgufWriter writer;
    const auto refused = [&](std::string_view name, BlockFormat format, std::vector<uint64_t> shape,
                             const std::string& why) {
        const Status status = writer.add_tensor(name, format, shape);
        EXPECT_EQ(status.code(), PUNA_ERROR_ARGUMENT) << name;
        EXPECT_NE(std::string(status.text()).find(why), std::string::npos) << status.text();
    };
    ASSERT_TRUE(writer.add_tensor("t", BlockFormat::kF32, std::array<uint64_t, 1>{1}).ok());
    refused("t", BlockFormat::kF32, {1}, "one of this name");
    refused("", BlockFormat::kF32, {1}, "1 to 63");
    refused(std::string(64, 'n'), BlockFormat::kF32, {1}, "1 to 63");
    refused("q", BlockFormat::kQ8_0, {33}, "rows of 33 do not divide into Q8_0 blocks");
    refused("z", BlockFormat::kF32, {3, 0}, "no elements");
    refused("d", BlockFormat::kF32, {}, "dimensions");
    refused("d", BlockFormat::kF32, {1, 1, 1, 1, 1}, "dimensions");
    refused("h", BlockFormat::kF32, {UINT64_MAX, UINT64_MAX}, "too many");
    refused("h", BlockFormat::kF32, {UINT64_MAX / 2}, "F32");
    EXPECT_EQ(writer.tensors().size(), 1u);
}

TEST(GgufWriter, RefusesMorePartsThanALoadTakes) {
    const TempFolder folder;
    GgufWriter writer;
    for (int i = 0; i < 257; ++i) {
        ASSERT_TRUE(
            writer
                .add_tensor("t" + std::to_string(i), BlockFormat::kF32, std::array<uint64_t, 1>{1})
                .ok());
    }
    EXPECT_EQ(writer.write(folder.path("m.gguf"), 1, Counter()).status().code(),
              PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(n_files(folder), 0u);
}

TEST(SplitName, ReadsWhatItWrites) {
    const SplitName name = split_name("a/b.gguf", 12);
    EXPECT_EQ(name.path_of_part(3), "a/b-00003-of-00012.gguf");
    const auto parsed = parse_split_name("a/b-00003-of-00012.gguf");
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->prefix, "a/b");
    EXPECT_EQ(parsed->number, 3u);
    EXPECT_EQ(parsed->count, 12u);
    EXPECT_EQ(split_name("b", 2).path_of_part(1), "b-00001-of-00002.gguf");
    for (const char* other :
         {"", ".gguf", "m.gguf", "m-1-of-2.gguf", "m-00001-of-00002", "m-00003-of-00002.gguf",
          "m-00000-of-00002.gguf", "m00001-of-00002.gguf", "m-000001-of-000002.gguf",
          "-of-00002.gguf", "00002.gguf"}) {
        EXPECT_FALSE(parse_split_name(other).has_value()) << other;
    }
}

}  // namespace
}  // namespace puna::core
