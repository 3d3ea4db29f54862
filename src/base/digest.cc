#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace forebay {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Names are digested by the thousand. Looking the algorithm up each time takes locks, and a new
// context memory: together three times what the digest of a path itself costs.
EVP_MD_CTX& StartedSha256() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  CHECK(algorithm != nullptr && context != nullptr);
  CHECK(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  return *context;
}

}  // namespace

std::array<std::uint8_t, 32> Sha256(std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  unsigned int length = 0;
  EVP_MD_CTX& context = StartedSha256();
  CHECK(EVP_DigestUpdate(&context, text.data(), text.size()) == 1);
  CHECK(EVP_DigestFinal_ex(&context, hash.data(), &length) == 1);
  CHECK(length == hash.size());
  return hash;
}

std::array<std::uint8_t, 32> HmacSha256(std::string_view key, std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  unsigned int length = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data(),
             &length) != nullptr);
  CHECK(length == hash.size());
  return hash;
}

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

Digest128 DigestOf(std::string_view text) {
  const std::array<std::uint8_t, 32> hash = Sha256(text);
  Digest128 digest;
  std::copy_n(hash.begin(), digest.bytes.size(), digest.bytes.begin());
  return digest;
}

std::string Digest128::Hex() const {
  return forebay::Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace forebay
