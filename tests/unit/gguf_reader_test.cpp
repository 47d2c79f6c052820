#include "format/gguf_reader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/byte_source.h"
#include "support/gguf_bytes.h"
#include "support/gguf_text.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

using test::GgufBytes;

// Both sources over a heap block of exactly the file's size, so that a sanitizer sees every read
// past its end. They must agree before anything else is looked at.
class Outcome {
  public:
    explicit Outcome(std::span<const std::byte> bytes)
        : memory_(new std::byte[bytes.size()]), size_(bytes.size()) {
        if (size_ != 0) std::memcpy(memory_.get(), bytes.data(), size_);
        SpanSource span_source({memory_.get(), size_});
        CallbackSource callback_source(size_, [this](uint64_t offset, void* dst, size_t n) {
            EXPECT_LE(offset + n, size_);
            std::memcpy(dst, memory_.get() + offset, n);
            return Status();
        });
        Status from_callback;
        text_ = test::gguf_outcome(span_source, &status_);
        EXPECT_EQ(test::gguf_outcome(callback_source, &from_callback), text_);
        EXPECT_EQ(from_callback.code(), status_.code());
    }
    explicit Outcome(const GgufBytes& file) : Outcome(file.bytes()) {}

    puna_status code() const { return status_.code(); }
    const std::string& text() const { return text_; }

  private:
    std::unique_ptr<std::byte[]> memory_;
    size_t size_;
    Status status_;
    std::string text_;
};

void expect_refused(const GgufBytes& file, puna_status code, std::string_view reason) {
    const Outcome outcome(file);
    EXPECT_EQ(outcome.code(), code) << outcome.text();
    EXPECT_NE(outcome.text().find(reason), std::string::npos) << outcome.text();
    EXPECT_EQ(outcome.text().rfind("test.gguf: ", 0), 0u) << outcome.text();
}

// Every type of value, every shape of tensor, nothing after the last tensor.
GgufBytes complete_file(uint32_t version) {
    GgufBytes file;
    file.prologue(version, 3, 19)
        .key_text("general.architecture", "llama")
        .key_value<uint32_t>("general.alignment", GgufType::kUint32, 64)
        .key_value<uint8_t>("u8", GgufType::kUint8, 200)
        .key_value<int8_t>("i8", GgufType::kInt8, -100)
        .key_value<uint16_t>("u16", GgufType::kUint16, 60000)
        .key_value<int16_t>("i16", GgufType::kInt16, -30000)
        .key_value<uint32_t>("u32", GgufType::kUint32, 4000000000u)
        .key_value<int32_t>("i32", GgufType::kInt32, 7)
        .key_value<uint64_t>("u64", GgufType::kUint64, 1ull << 40)
        .key_value<int64_t>("i64", GgufType::kInt64, -(1ll << 40))
        .key_value<float>("f32", GgufType::kFloat32, 1e-5f)
        .key_value<double>("f64", GgufType::kFloat64, 0.1)
        .key_value<uint8_t>("yes", GgufType::kBool, 1)
        .key_value<uint8_t>("no", GgufType::kBool, 0)
        .key_text("empty", "");
    file.key_array("tokens", GgufType::kString, 3).text("<s>").text("").text("\xe2\x96\x81the");
    file.key_array("scores", GgufType::kFloat32, 2).number(-1.5f).number(0.25f);
    file.key_array("types", GgufType::kInt32, 2).number<int32_t>(-3).number<int32_t>(6);
    file.key_array("none", GgufType::kUint16, 0);
    file.tensor("embedding", {32, 4}, BlockFormat::kQ8_0, 0)
        .tensor("norm", {5}, BlockFormat::kF32, 192)
        .tensor("cube", {2, 3, 4, 5}, BlockFormat::kF16, 256)
        .pad(64);
    return file.zeros(256 + 2 * 2 * 3 * 4 * 5);
}

struct Parsed {
    explicit Parsed(const GgufBytes& file)
        : bytes(file.bytes()), source(bytes), header(read_gguf(source, "test.gguf")) {
        EXPECT_TRUE(header.ok()) << header.status().text();
    }
    const GgufHeader* operator->() const { return &*header; }

    std::vector<std::byte> bytes;
    SpanSource source;
    Result<GgufHeader> header;
};

// --- what a good file holds -------------------------------------------------------------------

TEST(GgufReader, ReadsEveryTypeOfValue) {
    for (const uint32_t version : {2u, 3u}) {
        const Parsed file(complete_file(version));
        EXPECT_EQ(file->version(), version);
        EXPECT_EQ(file->alignment(), 64u);
        EXPECT_EQ(*file->get_string("general.architecture"), "llama");
        EXPECT_EQ(*file->get_string("empty"), "");
        EXPECT_EQ(*file->get_u32("u8"), 200u);
        EXPECT_EQ(*file->get_u32("u16"), 60000u);
        EXPECT_EQ(*file->get_u32("u32"), 4000000000u);
        EXPECT_EQ(*file->get_u32("i32"), 7u);
        EXPECT_EQ(*file->get_u64("u64"), 1ull << 40);
        EXPECT_EQ(*file->get_f32("f32"), 1e-5f);
        EXPECT_TRUE(*file->get_bool("yes"));
        EXPECT_FALSE(*file->get_bool("no"));
        EXPECT_EQ(file->entries().size(), 19u);
        EXPECT_EQ(file->entries()[2].key, "u8");
        EXPECT_FALSE(file->has("u9"));
    }
}

TEST(GgufReader, ReadsArrays) {
    const Parsed file(complete_file(3));
    const auto tokens = *file->get_strings("tokens", 3);
    EXPECT_EQ(std::vector<std::string>(tokens.begin(), tokens.end()),
              (std::vector<std::string>{"<s>", "", "\xe2\x96\x81the"}));
    const auto scores = *file->get_f32s("scores");
    ASSERT_EQ(scores.size(), 2u);
    EXPECT_EQ(scores[0], -1.5f);
    EXPECT_EQ(scores[1], 0.25f);
    const auto types = *file->get_i32s("types", 2);
    EXPECT_EQ(types[0], -3);
    EXPECT_EQ(types[1], 6);
    EXPECT_TRUE(file->get_u32s("none")->empty());
}

TEST(GgufReader, PlacesTensors) {
    const Parsed file(complete_file(3));
    ASSERT_EQ(file->tensors().size(), 3u);
    const GgufTensor* cube = file->find_tensor("cube");
    ASSERT_NE(cube, nullptr);
    EXPECT_EQ(cube->n_dims, 4u);
    EXPECT_EQ(cube->ne, (std::array<uint64_t, 4>{2, 3, 4, 5}));
    EXPECT_EQ(cube->n_elements, 120u);
    EXPECT_EQ(cube->n_bytes, 240u);
    EXPECT_EQ(cube->offset, file->data_offset() + 256);
    EXPECT_EQ(cube->offset + cube->n_bytes, file.bytes.size());
    EXPECT_EQ(file->data_offset() % 64, 0u);
    EXPECT_EQ(file->find_tensor("embedding")->n_bytes, 4u * 34);
    EXPECT_EQ(file->find_tensor("norm")->ne, (std::array<uint64_t, 4>{5, 1, 1, 1}));
    EXPECT_EQ(file->find_tensor("Norm"), nullptr);
}

TEST(GgufReader, SourcesAgree) {
    EXPECT_EQ(Outcome(complete_file(2)).code(), PUNA_OK);
    EXPECT_EQ(Outcome(complete_file(3)).code(), PUNA_OK);
}

TEST(GgufReader, ReadsAFileWithoutTensors) {
    GgufBytes file;
    file.prologue(3, 0, 1).key_text("general.architecture", "llama");
    const Parsed parsed(file);  // ends before the next multiple of the alignment
    EXPECT_TRUE(parsed->tensors().empty());
}

TEST(GgufReader, KeepsValuesInPlace) {
    const Parsed file(complete_file(3));
    const auto* text = reinterpret_cast<const std::byte*>(file->get_string("empty")->data());
    EXPECT_GE(text, file.bytes.data());
    EXPECT_LE(text, file.bytes.data() + file.bytes.size());
}

TEST(GgufReader, HeaderSurvivesAMove) {
    const GgufBytes file = complete_file(3);
    CallbackSource source(file.size(), [&](uint64_t offset, void* dst, size_t n) {
        std::memcpy(dst, file.bytes().data() + offset, n);
        return Status();
    });
    auto header = read_gguf(source, "test.gguf");
    ASSERT_TRUE(header.ok());
    const std::string before = test::gguf_text(*header);
    const GgufHeader moved = std::move(*header);
    EXPECT_EQ(test::gguf_text(moved), before);
}

// --- getters ------------------------------------------------------------------------------------

template <class T>
void expect_error(const Result<T>& result, puna_status code, const char* text) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), code);
    EXPECT_STREQ(result.status().text(), text);
}

TEST(GgufGetters, RefuseAWrongType) {
    GgufBytes bytes;
    bytes.prologue(3, 0, 3)
        .key_value<float>("a", GgufType::kFloat32, 1)
        .key_value<int32_t>("b", GgufType::kInt32, -1)
        .key_text("c", "7");
    const Parsed file(bytes);
    expect_error(file->get_u32("a"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'a' at byte 24: is float32; uint32 is wanted");
    expect_error(file->get_u32("b"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'b' at byte 41: the value -1 does not fit uint32");
    expect_error(file->get_u64("b"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'b' at byte 41: the value -1 does not fit uint64");
    expect_error(file->get_f32("b"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'b' at byte 41: is int32; float32 is wanted");
    expect_error(file->get_bool("c"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'c' at byte 58: is string; bool is wanted");
    expect_error(file->get_strings("c"), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'c' at byte 58: is string; array is wanted");
    expect_error(file->get_u32("d"), PUNA_ERROR_MODEL, "test.gguf: key 'd' is missing");
}

TEST(GgufGetters, FallBackOnlyWhenTheKeyIsMissing) {
    const Parsed file(complete_file(3));
    EXPECT_EQ(*file->get_u32_or("absent", 5), 5u);
    EXPECT_EQ(*file->get_u32_or("u8", 5), 200u);
    EXPECT_EQ(*file->get_u64_or("absent", 5), 5u);
    EXPECT_EQ(*file->get_f32_or("absent", 5), 5.0f);
    EXPECT_EQ(*file->get_string_or("absent", "x"), "x");
    EXPECT_TRUE(*file->get_bool_or("absent", true));
    EXPECT_EQ(file->get_u32_or("f32", 5).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_u64_or("i64", 5).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_f32_or("u32", 5).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_string_or("u32", "").status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_bool_or("u32", true).status().code(), PUNA_ERROR_FORMAT);
}

TEST(GgufGetters, VerifyTypeAndLengthOfArraysTogether) {
    const Parsed file(complete_file(3));
    EXPECT_EQ(file->get_strings("tokens", 4).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_f32s("scores", 3).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_i32s("types", 1).status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_f32s("types").status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_i32s("scores").status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_strings("scores").status().code(), PUNA_ERROR_FORMAT);
    EXPECT_EQ(file->get_u32s("types").status().code(), PUNA_ERROR_FORMAT);  // holds -3
    EXPECT_EQ(file->get_i32s("absent").status().code(), PUNA_ERROR_MODEL);
}

TEST(GgufGetters, LoadIntegerArraysOfEveryWidth) {
    GgufBytes bytes;
    bytes.prologue(3, 0, 8);
    bytes.key_array("u8", GgufType::kUint8, 1).number<uint8_t>(255);
    bytes.key_array("i8", GgufType::kInt8, 1).number<int8_t>(-128);
    bytes.key_array("u16", GgufType::kUint16, 1).number<uint16_t>(65535);
    bytes.key_array("i16", GgufType::kInt16, 1).number<int16_t>(-32768);
    bytes.key_array("u32", GgufType::kUint32, 1).number<uint32_t>(1u << 31);
    bytes.key_array("i32", GgufType::kInt32, 1).number<int32_t>(INT32_MIN);
    bytes.key_array("u64", GgufType::kUint64, 1).number<uint64_t>(9);
    bytes.key_array("i64", GgufType::kInt64, 1).number<int64_t>(-9);
    const Parsed file(bytes);
    EXPECT_EQ((*file->get_i32s("u8"))[0], 255);
    EXPECT_EQ((*file->get_i32s("i8"))[0], -128);
    EXPECT_EQ((*file->get_i32s("u16"))[0], 65535);
    EXPECT_EQ((*file->get_i32s("i16"))[0], -32768);
    EXPECT_EQ((*file->get_i32s("i32"))[0], INT32_MIN);
    EXPECT_EQ((*file->get_i32s("u64"))[0], 9);
    EXPECT_EQ((*file->get_i32s("i64"))[0], -9);
    EXPECT_EQ((*file->get_u32s("u32"))[0], 1u << 31);
    EXPECT_FALSE(file->get_i32s("u32").ok());
}

// --- refusals: the prologue ---------------------------------------------------------------------

TEST(GgufRefusals, OtherFilesAndVersions) {
    expect_refused(GgufBytes().raw("GGML").zeros(20), PUNA_ERROR_FORMAT,
                   "is not a GGUF file: it begins with bytes 47 47 4d 4c");
    expect_refused(GgufBytes(), PUNA_ERROR_TRUNCATED, "ends at byte 0");
    expect_refused(GgufBytes().prologue(1, 0, 0), PUNA_ERROR_FORMAT_VERSION, "GGUF version 1");
    expect_refused(GgufBytes().prologue(4, 0, 0), PUNA_ERROR_FORMAT_VERSION, "GGUF version 4");
    expect_refused(GgufBytes().prologue(0, 0, 0), PUNA_ERROR_FORMAT_VERSION, "GGUF version 0");
    expect_refused(GgufBytes().prologue(0x03000000, 0, 0), PUNA_ERROR_FORMAT_VERSION, "big-endian");
}

// llama.cpp#24997: counts that a 160-byte file cannot hold.
TEST(GgufRefusals, CountsBeyondTheFile) {
    expect_refused(GgufBytes().prologue(3, 0, 65536).zeros(136), PUNA_ERROR_TRUNCATED,
                   "claims 65536 keys");
    expect_refused(GgufBytes().prologue(3, 65536, 0).zeros(136), PUNA_ERROR_TRUNCATED,
                   "claims 65536 tensors");
    expect_refused(GgufBytes().prologue(3, 0, 65537).zeros(1 << 20), PUNA_ERROR_FORMAT,
                   "the limit is 65536");
    expect_refused(GgufBytes().prologue(3, UINT64_MAX, 0), PUNA_ERROR_FORMAT, "the limit is 65536");
    expect_refused(GgufBytes().prologue(3, 0, 1ull << 63), PUNA_ERROR_FORMAT, "the limit is 65536");
}

// --- refusals: metadata -------------------------------------------------------------------------

// llama.cpp#27188: an array that claims 2^63 elements in a file of 43 bytes; any element type.
TEST(GgufRefusals, ArrayLengthBeyondTheFile) {
    for (uint32_t type = 0; type <= 12; ++type) {
        if (type == static_cast<uint32_t>(GgufType::kArray)) continue;
        for (const uint64_t count :
             std::vector<uint64_t>{1ull << 63, UINT64_MAX / 8 + 2, 1ull << 32, 3}) {
            GgufBytes file;
            file.prologue(3, 0, 1).key_array("a", static_cast<GgufType>(type), count).zeros(2);
            expect_refused(file, PUNA_ERROR_TRUNCATED, "key 'a' at byte 24: ");
        }
    }
}

TEST(GgufRefusals, StringsBeyondTheFile) {
    for (const uint64_t length : std::vector<uint64_t>{UINT64_MAX, 1ull << 63, 1ull << 32, 4}) {
        GgufBytes value;
        value.prologue(3, 0, 1).key("a", GgufType::kString).number(length).raw("abc");
        expect_refused(value, PUNA_ERROR_TRUNCATED, "key 'a' at byte 24: the file ends");
        GgufBytes element;
        element.prologue(3, 0, 1).key_array("a", GgufType::kString, 2).text("abc").number(length);
        expect_refused(element.raw("abc"), PUNA_ERROR_TRUNCATED, "key 'a' at byte 24: the file");
    }
    expect_refused(GgufBytes().prologue(3, 0, 1).number<uint64_t>(60000).zeros(100),
                   PUNA_ERROR_TRUNCATED, "60000 bytes are needed");
    expect_refused(GgufBytes().prologue(3, 0, 1).number<uint64_t>(65536).zeros(70000),
                   PUNA_ERROR_FORMAT, "a key at byte 24 claims 65536 bytes");
}

TEST(GgufRefusals, UnknownTypesAndNestedArrays) {
    expect_refused(GgufBytes().prologue(3, 0, 1).key("a", static_cast<GgufType>(13)).zeros(9),
                   PUNA_ERROR_FORMAT, "key 'a' at byte 24: unknown value type 13");
    expect_refused(
        GgufBytes().prologue(3, 0, 1).key_array("a", static_cast<GgufType>(99), 0).zeros(9),
        PUNA_ERROR_FORMAT, "unknown value type 99");
    expect_refused(GgufBytes().prologue(3, 0, 1).key_array("a", GgufType::kArray, 1).zeros(99),
                   PUNA_ERROR_FORMAT, "arrays of arrays");
}

TEST(GgufRefusals, BoolsThatAreNeitherTrueNorFalse) {
    expect_refused(GgufBytes().prologue(3, 0, 1).key_value<uint8_t>("a", GgufType::kBool, 2),
                   PUNA_ERROR_FORMAT, "a bool has the value 2");
    GgufBytes file;
    file.prologue(3, 0, 1).key_array("a", GgufType::kBool, 2).raw("\x01\xff");
    expect_refused(file, PUNA_ERROR_FORMAT, "a bool has the value 255");
}

TEST(GgufRefusals, DuplicateKeys) {
    GgufBytes file;
    file.prologue(3, 0, 3).key_text("b", "1").key_text("a", "2").key_text("b", "3");
    expect_refused(file, PUNA_ERROR_FORMAT,
                   "key 'b' at byte 68: the key stands at byte 24 already");
}

TEST(GgufRefusals, MessagesCutLongAndDirtyNames) {
    GgufBytes file;
    const std::string key = "\n\x1b" + std::string(5000, 'k');
    file.prologue(3, 0, 1).key_value<uint8_t>(key, GgufType::kBool, 2);
    const Outcome outcome(file);
    EXPECT_NE(outcome.text().find("a bool has the value 2"), std::string::npos) << outcome.text();
    EXPECT_EQ(outcome.text().find_first_of("\n\x1b"), std::string::npos);
}

// llama.cpp#26318, ggml#1516: the alignment unchecked, so that padding wraps.
TEST(GgufRefusals, Alignment) {
    for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 8192u, 1u << 31, UINT32_MAX}) {
        GgufBytes file;
        file.prologue(3, 1, 1)
            .key_value("general.alignment", GgufType::kUint32, alignment)
            .tensor("t", {4}, BlockFormat::kF32, 0)
            .zeros(10000);
        expect_refused(file, PUNA_ERROR_FORMAT, "key 'general.alignment' at byte 24: is ");
    }
    GgufBytes wide;
    wide.prologue(3, 0, 1).key_value<uint64_t>("general.alignment", GgufType::kUint64, 32);
    expect_refused(wide, PUNA_ERROR_FORMAT, "is uint64; uint32 is wanted");
    for (const uint32_t alignment : {8u, 4096u}) {
        GgufBytes file;
        file.prologue(3, 1, 1)
            .key_value("general.alignment", GgufType::kUint32, alignment)
            .tensor("t", {4}, BlockFormat::kF32, 0)
            .pad(alignment)
            .zeros(16);
        EXPECT_EQ(Outcome(file).code(), PUNA_OK);
    }
}

// llama.cpp#26690: scores or token types of a narrower type than the code that reads them thinks.
TEST(GgufRefusals, NarrowArraysReadAsWideOnes) {
    GgufBytes file;
    file.prologue(3, 0, 2);
    file.key_array("tokenizer.ggml.scores", GgufType::kUint8, 4).zeros(4);
    file.key_array("tokenizer.ggml.token_type", GgufType::kUint8, 4).raw("\1\2\3\4");
    const Parsed parsed(file);
    expect_error(parsed->get_f32s("tokenizer.ggml.scores", 4), PUNA_ERROR_FORMAT,
                 "test.gguf: key 'tokenizer.ggml.scores' at byte 24: is an array of uint8; an "
                 "array of float32 is wanted");
    const auto types = parsed->get_i32s("tokenizer.ggml.token_type", 4);  // loads bytes as bytes
    ASSERT_TRUE(types.ok());
    EXPECT_EQ((*types)[0], 1);
    EXPECT_EQ((*types)[3], 4);
}

// --- refusals: tensors --------------------------------------------------------------------------

GgufBytes one_tensor(const std::vector<uint64_t>& ne, BlockFormat format, uint64_t offset,
                     size_t n_data) {
    GgufBytes file;
    file.prologue(3, 1, 0).tensor("blk.0.t", ne, format, offset).pad(32).zeros(n_data);
    return file;
}

// CVE-2026-33298: dimensions whose product passes 64 bits and comes back small.
TEST(GgufRefusals, DimensionsThatOverflow) {
    using Dims = std::vector<uint64_t>;
    for (const Dims& ne : {Dims{1ull << 32, 1ull << 32}, Dims{1ull << 32, 1ull << 32, 4, 1},
                           Dims{UINT64_MAX, UINT64_MAX}, Dims{1ull << 63}, Dims{3, 1ull << 62},
                           Dims{1ull << 16, 1ull << 16, 1ull << 16, 1ull << 16}}) {
        expect_refused(one_tensor(ne, BlockFormat::kF32, 0, 4096), PUNA_ERROR_FORMAT,
                       "tensor 'blk.0.t' at byte 24: dimension");
    }
    // The element count fits, the bytes do not: 2^62 elements of 4 and of 8 bytes.
    for (const BlockFormat format : {BlockFormat::kF32, BlockFormat::kF64}) {
        expect_refused(one_tensor({1ull << 31, 1ull << 31}, format, 0, 4096), PUNA_ERROR_FORMAT,
                       "exceed 64 bits");
    }
    // Everything fits 64 bits, only the file is not that long.
    expect_refused(one_tensor({1ull << 31, 1ull << 30}, BlockFormat::kF32, 0, 4096),
                   PUNA_ERROR_TRUNCATED, "tensor 'blk.0.t' needs 9223372036854775808 bytes");
}

// CVE-2026-27940: each tensor's size passes, their sum or the padded offset wraps.
TEST(GgufRefusals, SizesWhoseSumOverflows) {
    GgufBytes file;
    file.prologue(3, 4, 0);
    uint64_t offset = 0;
    for (const char* name : {"a", "b", "c", "d"}) {
        file.tensor(name, {1ull << 30, 1ull << 30}, BlockFormat::kF32, offset);
        offset += 1ull << 62;  // four sizes of 2^62 add up to 0
    }
    expect_refused(file.pad(32).zeros(4096), PUNA_ERROR_TRUNCATED, "tensor 'a' needs");
    // offset + size wraps to the start of the data; offset + data offset wraps into the file.
    expect_refused(one_tensor({8}, BlockFormat::kF32, UINT64_MAX - 31, 4096), PUNA_ERROR_TRUNCATED,
                   "tensor 'blk.0.t' needs 32 bytes");
    expect_refused(one_tensor({8}, BlockFormat::kF32, 0 - uint64_t{96}, 4096), PUNA_ERROR_TRUNCATED,
                   "tensor 'blk.0.t' needs 32 bytes");
}

// CVE-2026-7482: more data declared than the file holds, by one byte and by far.
TEST(GgufRefusals, TensorsThatReachPastTheEnd) {
    EXPECT_EQ(Outcome(one_tensor({64}, BlockFormat::kQ8_0, 32, 100)).code(), PUNA_OK);
    expect_refused(one_tensor({64}, BlockFormat::kQ8_0, 32, 99), PUNA_ERROR_TRUNCATED,
                   "needs 68 bytes at 64 + 32; the file ends at byte 163");
    expect_refused(one_tensor({64}, BlockFormat::kQ8_0, 128, 100), PUNA_ERROR_TRUNCATED,
                   "needs 68 bytes");
    // The header ends where the data should begin, and before it.
    expect_refused(one_tensor({8}, BlockFormat::kF32, 0, 0), PUNA_ERROR_TRUNCATED,
                   "needs 32 bytes");
    GgufBytes unpadded;
    unpadded.prologue(3, 1, 0).tensor("t", {8}, BlockFormat::kF32, 0);
    expect_refused(unpadded, PUNA_ERROR_TRUNCATED, "needs 32 bytes");
}

TEST(GgufRefusals, ShapesAndTypes) {
    expect_refused(one_tensor({}, BlockFormat::kF32, 0, 99), PUNA_ERROR_FORMAT, "has 0 dimensions");
    expect_refused(one_tensor({1, 1, 1, 1, 1}, BlockFormat::kF32, 0, 99), PUNA_ERROR_FORMAT,
                   "has 5 dimensions");
    expect_refused(one_tensor({4, 0}, BlockFormat::kF32, 0, 99), PUNA_ERROR_FORMAT,
                   "dimension 1 is 0");
    expect_refused(one_tensor({48, 2}, BlockFormat::kQ8_0, 0, 999), PUNA_ERROR_FORMAT,
                   "rows of 48 elements do not divide into Q8_0 blocks of 32");
    for (const uint32_t type_id : {4u, 5u, 33u, 38u, 42u, 1000u, UINT32_MAX}) {
        GgufBytes file;
        file.prologue(3, 1, 0).tensor("x", {32}, type_id, 0).pad(32).zeros(999);
        expect_refused(file, PUNA_ERROR_MODEL_UNSUPPORTED,
                       "tensor 'x' at byte 24: unknown tensor type " + std::to_string(type_id));
    }
}

TEST(GgufRefusals, OffsetsAndOverlap) {
    expect_refused(one_tensor({8}, BlockFormat::kF32, 16, 99), PUNA_ERROR_FORMAT,
                   "offset 16 is no multiple of the alignment 32");
    GgufBytes overlap;
    overlap.prologue(3, 2, 0)
        .tensor("second", {16}, BlockFormat::kF32, 32)
        .tensor("first", {9}, BlockFormat::kF32, 0)
        .pad(32)
        .zeros(96);
    expect_refused(overlap, PUNA_ERROR_FORMAT, "tensors 'first' and 'second' overlap at byte 160");
    GgufBytes same;
    same.prologue(3, 2, 0)
        .tensor("a", {8}, BlockFormat::kF32, 0)
        .tensor("b", {8}, BlockFormat::kF32, 0)
        .pad(32)
        .zeros(32);
    expect_refused(same, PUNA_ERROR_FORMAT, "overlap");
}

TEST(GgufRefusals, TensorNames) {
    GgufBytes twice;
    twice.prologue(3, 2, 0)
        .tensor("t", {8}, BlockFormat::kF32, 0)
        .tensor("t", {8}, BlockFormat::kF32, 32)
        .pad(32)
        .zeros(64);
    expect_refused(twice, PUNA_ERROR_FORMAT, "tensor 't' is listed twice");
    const auto named = [](size_t length) {
        GgufBytes file;
        file.prologue(3, 1, 0)
            .tensor(std::string(length, 'n'), {8}, BlockFormat::kF32, 0)
            .pad(32)
            .zeros(32);
        return file;
    };
    EXPECT_EQ(Outcome(named(64)).code(), PUNA_OK);
    expect_refused(named(65), PUNA_ERROR_FORMAT, "claims 65 bytes; the limit is 64");
}

// --- whole files, damaged -----------------------------------------------------------------------

TEST(GgufDamage, EveryTruncationIsRefused) {
    const std::vector<std::byte> bytes = complete_file(3).bytes();
    ASSERT_LE(bytes.size(), 8192u);
    for (size_t size = 0; size < bytes.size(); ++size) {
        const Outcome outcome(std::span<const std::byte>(bytes).first(size));
        ASSERT_EQ(outcome.code(), PUNA_ERROR_TRUNCATED) << size << ": " << outcome.text();
    }
}

TEST(GgufDamage, RandomChangesEndInAStatus) {
    const std::vector<std::byte> original = complete_file(3).bytes();
    test::RandomNumbers random(2026);
    std::vector<std::byte> bytes = original;
    int n_refused = 0;
    for (int i = 0; i < 20000; ++i) {
        bytes = original;
        for (uint64_t n = 1 + random.below(3); n != 0; --n) {
            bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
        }
        n_refused += Outcome(bytes).code() != PUNA_OK;
        if (HasFailure()) FAIL() << "at change " << i;
    }
    EXPECT_GT(n_refused, 5000);
    EXPECT_LT(n_refused, 20000);
}

TEST(GgufDamage, AFailingCallbackIsReported) {
    const GgufBytes file = complete_file(3);
    CallbackSource source(file.size(), [](uint64_t offset, void*, size_t) {
        return make_status(PUNA_ERROR_IO, "disk gone at %d", static_cast<int>(offset));
    });
    const auto header = read_gguf(source, "test.gguf");
    EXPECT_EQ(header.status().code(), PUNA_ERROR_IO);
    EXPECT_STREQ(header.status().text(), "test.gguf: disk gone at 0");
}

// --- time ---------------------------------------------------------------------------------------

// llama.cpp#19856: checks that made loading slow. A real vocabulary takes a few milliseconds; the
// bound leaves room for sanitizers and a busy machine, and none for a quadratic step.
double seconds_to_read(const GgufBytes& file) {
    const auto start = std::chrono::steady_clock::now();
    SpanSource source(file.bytes());
    const auto header = read_gguf(source, "test.gguf");
    EXPECT_TRUE(header.ok()) << header.status().text();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(GgufTime, VocabulariesAndLongListsAreRead) {
    GgufBytes vocabulary;
    vocabulary.prologue(3, 0, 1).key_array("tokens", GgufType::kString, 256000);
    for (int i = 0; i < 256000; ++i) vocabulary.text("token" + std::to_string(i));
    EXPECT_LT(seconds_to_read(vocabulary), 0.5);

    GgufBytes keys;
    keys.prologue(3, 65536, 65536);
    for (uint32_t i = 0; i < 65536; ++i) {
        keys.key_value("key" + std::to_string(i), GgufType::kUint32, i);
    }
    for (uint32_t i = 0; i < 65536; ++i) {
        keys.tensor("tensor" + std::to_string(i), {8}, BlockFormat::kF32, i * 32ull);
    }
    EXPECT_LT(seconds_to_read(keys.pad(32).zeros(65536 * 32)), 1.5);
}

}  // namespace
}  // namespace puna::core
