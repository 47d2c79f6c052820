// Any bytes as a GGUF file, through both kinds of source, which must agree to the letter.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "format/byte_source.h"
#include "support/gguf_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace puna::core;
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    SpanSource span_source(bytes);
    CallbackSource callback_source(size, [bytes](uint64_t offset, void* dst, size_t n) {
        if (offset > bytes.size() || n > bytes.size() - offset) __builtin_trap();
        std::memcpy(dst, bytes.data() + offset, n);
        return Status();
    });

    Status from_span;
    Status from_callback;
    const std::string a = puna::test::gguf_outcome(span_source, &from_span);
    const std::string b = puna::test::gguf_outcome(callback_source, &from_callback);
    if (a != b || from_span.code() != from_callback.code()) __builtin_trap();
    return 0;
}
