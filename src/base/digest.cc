#include "base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/check.h"

namespace forebay {

std::array<std::uint8_t, 32> Sha256(std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  unsigned int length = 0;
  CHECK(EVP_Digest(text.data(), text.size(), hash.data(), &length, EVP_sha256(), nullptr) == 1);
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
