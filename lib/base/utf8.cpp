#include "base/utf8.h"

namespace puna::core {
namespace {

// What a lead byte promises: the length of the character and the range of its second byte, which is
// where overlong forms, surrogates and values above U+10FFFF are ruled out (Unicode table 3-7).
struct Lead {
    uint8_t length;  // 0: no lead byte
    uint8_t second_min;
    uint8_t second_max;
};

Lead classify_lead(uint8_t byte) {
    if (byte < 0x80) return {1, 0, 0};
    if (byte < 0xC2) return {0, 0, 0};
    if (byte < 0xE0) return {2, 0x80, 0xBF};
    if (byte == 0xE0) return {3, 0xA0, 0xBF};
    if (byte == 0xED) return {3, 0x80, 0x9F};
    if (byte < 0xF0) return {3, 0x80, 0xBF};
    if (byte == 0xF0) return {4, 0x90, 0xBF};
    if (byte < 0xF4) return {4, 0x80, 0xBF};
    if (byte == 0xF4) return {4, 0x80, 0x8F};
    return {0, 0, 0};
}

uint8_t byte_at(std::string_view text, size_t index) {
    return static_cast<uint8_t>(text[index]);
}

// Bytes at the front of the text that belong to the character which `lead` starts.
size_t matching_bytes(const Lead& lead, std::string_view text) {
    size_t n = 1;
    for (; n < lead.length && n < text.size(); ++n) {
        const uint8_t min = n == 1 ? lead.second_min : 0x80;
        const uint8_t max = n == 1 ? lead.second_max : 0xBF;
        if (byte_at(text, n) < min || byte_at(text, n) > max) break;
    }
    return n;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
    if (text.empty()) return {kReplacementChar, 0, false};
    const Lead lead = classify_lead(byte_at(text, 0));
    const size_t n = matching_bytes(lead, text);
    if (n != lead.length) return {kReplacementChar, static_cast<uint8_t>(n), false};
    if (n == 1) return {byte_at(text, 0), 1, true};
    char32_t code_point = byte_at(text, 0) & (0x7Fu >> n);
    for (size_t i = 1; i < n; ++i) code_point = code_point << 6 | (byte_at(text, i) & 0x3Fu);
    return {code_point, lead.length, true};
}

size_t encode_utf8(char32_t c, char* out) {
    const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) {
        out[0] = static_cast<char>(c);
        return 1;
    }
    if (c < 0x800) {
        out[0] = static_cast<char>(0xC0 | c >> 6);
        out[1] = tail(0);
        return 2;
    }
    if (c < 0x10000) {
        if (c >= 0xD800 && c < 0xE000) return 0;
        out[0] = static_cast<char>(0xE0 | c >> 12);
        out[1] = tail(6);
        out[2] = tail(0);
        return 3;
    }
    if (c > 0x10FFFF) return 0;
    out[0] = static_cast<char>(0xF0 | c >> 18);
    out[1] = tail(12);
    out[2] = tail(6);
    out[3] = tail(0);
    return 4;
}

void append_utf8(std::string& out, char32_t code_point) {
    char bytes[4];
    size_t n = encode_utf8(code_point, bytes);
    if (n == 0) n = encode_utf8(kReplacementChar, bytes);
    out.append(bytes, n);
}

bool is_valid_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const Utf8Char c = decode_utf8(text.substr(i));
        if (!c.valid) return false;
        i += c.length;
    }
    return true;
}

size_t incomplete_utf8_tail(std::string_view text) {
    for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
        const std::string_view tail = text.substr(text.size() - n);
        const Lead lead = classify_lead(byte_at(tail, 0));
        if (lead.length > n && matching_bytes(lead, tail) == n) return n;
    }
    return 0;
}

std::string replace_invalid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
        const Utf8Char c = decode_utf8(text.substr(i));
        if (c.valid) {
            out.append(text.substr(i, c.length));
        } else {
            append_utf8(out, kReplacementChar);
        }
        i += c.length;
    }
    return out;
}

}  // namespace puna::core
