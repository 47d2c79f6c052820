#include "checksum.h"

#include <openssl/evp.h>

#include <cctype>
#include <cstdio>
#include <stdexcept>

namespace cli {

struct Checksum::Digest {
    const EVP_MD* kind;
    EVP_MD_CTX* state = EVP_MD_CTX_new();

    explicit Digest(const EVP_MD* of) : kind(of) {}
    ~Digest() { EVP_MD_CTX_free(state); }
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;
};

Checksum::Checksum(const std::string& etag, uint64_t size) : size_(size) {
    for (const char c : etag) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isxdigit(byte) == 0) return;
        expected_ += static_cast<char>(std::tolower(byte));
    }
    if (etag.size() == 64) digest_ = std::make_unique<Digest>(EVP_sha256());
    if (etag.size() == 40) digest_ = std::make_unique<Digest>(EVP_sha1());
    restart();
}

Checksum::~Checksum() = default;

void Checksum::restart() {
    if (!digest_) return;
    if (EVP_DigestInit_ex(digest_->state, digest_->kind, nullptr) != 1) {
        throw std::runtime_error("OpenSSL has no checksums of " + std::to_string(expected_.size()) +
                                 " digits");
    }
    if (digest_->kind == EVP_sha1()) {
        const std::string head = "blob " + std::to_string(size_);
        add({head.c_str(), head.size() + 1});  // with the zero at its end
    }
}

void Checksum::add(std::string_view bytes) {
    if (digest_) EVP_DigestUpdate(digest_->state, bytes.data(), bytes.size());
}

bool Checksum::is_right() {
    if (!digest_) return true;
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(digest_->state, bytes, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(bytes[i]));
        text += digits;
    }
    return text == expected_;
}

}  // namespace cli
