// Everything in a GGUF header as text: touches each value, so that two headers can be compared and
// a view that reaches outside its file is noticed.
#pragma once

#include <cstdint>
#include <string>

#include "format/byte_source.h"
#include "format/gguf_reader.h"

namespace puna::test {

inline void append_elements(const core::GgufHeader& header, const core::GgufEntry& entry,
                            std::string* out) {
    if (const auto strings = header.get_strings(entry.key); strings.ok()) {
        for (const std::string_view text : *strings) out->append(text).push_back(',');
    } else if (const auto floats = header.get_f32s(entry.key); floats.ok()) {
        for (size_t i = 0; i < floats->size(); ++i) {
            out->append(std::to_string(std::bit_cast<uint32_t>((*floats)[i]))).push_back(',');
        }
    } else if (const auto numbers = header.get_i32s(entry.key); numbers.ok()) {
        for (size_t i = 0; i < numbers->size(); ++i) {
            out->append(std::to_string((*numbers)[i])).push_back(',');
        }
    }
    out->append(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
}

inline void append_value(const core::GgufHeader& header, const core::GgufEntry& entry,
                         std::string* out) {
    if (const auto text = header.get_string(entry.key); text.ok()) {
        out->append(*text);
    } else if (const auto flag = header.get_bool(entry.key); flag.ok()) {
        out->append(*flag ? "true" : "false");
    } else if (const auto number = header.get_u64(entry.key); number.ok()) {
        out->append(std::to_string(*number));
    } else {
        append_elements(header, entry, out);
    }
}

inline std::string gguf_text(const core::GgufHeader& header) {
    std::string out = "version " + std::to_string(header.version()) + " alignment " +
                      std::to_string(header.alignment()) + " data " +
                      std::to_string(header.data_offset()) + "\n";
    for (const core::GgufEntry& entry : header.entries()) {
        out.append(entry.key).append(" ").append(core::gguf_type_name(entry.type)).append(" = ");
        append_value(header, entry, &out);
        out.append(header.find(entry.key) == &entry ? "\n" : " LOST\n");
    }
    for (const core::GgufTensor& tensor : header.tensors()) {
        out.append(tensor.name).append(" ").append(core::block_format_name(tensor.format));
        for (const uint64_t n : tensor.ne) out.append(" ").append(std::to_string(n));
        out.append(" at ").append(std::to_string(tensor.offset));
        out.append(" bytes ").append(std::to_string(tensor.n_bytes));
        out.append(header.find_tensor(tensor.name) == &tensor ? "\n" : " LOST\n");
    }
    return out;
}

// What the reader makes of a source: the text of the header, or that of the refusal.
inline std::string gguf_outcome(core::ByteSource& source, core::Status* status) {
    const auto header = core::read_gguf(source, "test.gguf");
    *status = header.status();
    return header.ok() ? gguf_text(*header) : header.status().text();
}

}  // namespace puna::test
