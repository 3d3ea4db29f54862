#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "upstream/ini.h"
#include "upstream/upstream.h"

namespace forebay {
namespace {

TEST(Ini, ReadsWhatTheAwsToolsWrite) {
  const Ini ini = ParseIni(
      "; a comment\n"
      "key = before any section\n"
      "[default]\r\n"
      "aws_access_key_id = AK\r\n"
      "AWS_SECRET_ACCESS_KEY=a=b#c ; the end\r\n"
      "s3 =\n"
      "  addressing_style = path\n"
      "[ profile   two ]\n"
      "region = eu-west-1 # there\n"
      "[broken\n"
      "region = nowhere\n"
      "not a setting\n");
  EXPECT_EQ(ini.size(), 2u);
  EXPECT_EQ(ini.at("default"),
            (std::map<std::string, std::string>{
                {"aws_access_key_id", "AK"}, {"aws_secret_access_key", "a=b#c"}, {"s3", ""}}));
  EXPECT_EQ(ini.at("profile two").at("region"), "eu-west-1");
}

TEST(Ini, TakesAnyBytes) {
  for (const char* text : {"", "\n", "[", "]", "[]", "=", "[a]\n=", "[a]\n =b", "[a", "\r"}) {
    EXPECT_LE(ParseIni(text).size(), 1u) << text;
  }
}

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() : home_(testing::TempDir() + "upstream-options-" + std::to_string(getpid())) {
    std::filesystem::create_directories(home_ + "/.aws");
    Write("credentials",
          "[default]\naws_access_key_id=D\naws_secret_access_key=Ds\n"
          "[two]\naws_access_key_id=T\naws_secret_access_key=Ts\naws_session_token=Tt\n");
    Write("config",
          "[default]\nregion=eu-west-1\n"
          "[profile two]\nregion=eu-west-2\nendpoint_url=http://two:1/\n");
    environment_["HOME"] = home_;
  }
  ~OptionsTest() override { std::filesystem::remove_all(home_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(home_ + "/.aws/" + name) << text;
  }
  UpstreamOptions Resolve(const OptionMap& options) {
    const Result<UpstreamOptions> resolved = ResolveOptions(options, environment_);
    CHECK(resolved.ok());
    return resolved.value();
  }
  std::string Refusal(const OptionMap& options) {
    const Result<UpstreamOptions> resolved = ResolveOptions(options, environment_);
    CHECK(!resolved.ok());
    CHECK(resolved.error().code() == Code::kInvalidArgument);
    return resolved.error().message();
  }

  const std::string home_;
  std::map<std::string, std::string> environment_;
};

TEST_F(OptionsTest, FallsBackOnTheDefaultProfile) {
  const UpstreamOptions options = Resolve({});
  EXPECT_EQ(options.access_key_id, "D");
  EXPECT_EQ(options.secret_access_key.Reveal(), "Ds");
  EXPECT_EQ(options.region, "eu-west-1");
  EXPECT_EQ(options.endpoint, "");
}

TEST_F(OptionsTest, TakesTheNamedProfileFromBothFiles) {
  environment_["AWS_PROFILE"] = "two";
  const UpstreamOptions options = Resolve({});
  EXPECT_EQ(options.access_key_id, "T");
  EXPECT_EQ(options.session_token.Reveal(), "Tt");
  EXPECT_EQ(options.region, "eu-west-2");
  EXPECT_EQ(options.endpoint, "http://two:1");
  environment_["AWS_PROFILE"] = "three";
  EXPECT_NE(Refusal({}).find("profile \"three\""), std::string::npos);
}

TEST_F(OptionsTest, PrefersOptionsThenTheEnvironmentThenTheProfile) {
  environment_["AWS_ACCESS_KEY_ID"] = "E";
  environment_["AWS_SECRET_ACCESS_KEY"] = "Es";
  environment_["AWS_DEFAULT_REGION"] = "r2";
  environment_["AWS_ENDPOINT_URL"] = "http://general:1";
  UpstreamOptions options = Resolve({});
  EXPECT_EQ(options.access_key_id, "E");
  EXPECT_EQ(options.region, "r2");
  EXPECT_EQ(options.endpoint, "http://general:1");
  environment_["AWS_REGION"] = "r1";
  environment_["AWS_ENDPOINT_URL_S3"] = "http://s3:1";
  options = Resolve({{"access-key-id", "O"}, {"secret-access-key", "Os"}});
  EXPECT_EQ(options.access_key_id, "O");
  EXPECT_EQ(options.secret_access_key.Reveal(), "Os");
  EXPECT_EQ(options.session_token.Reveal(), "");
  EXPECT_EQ(options.region, "r1");
  EXPECT_EQ(options.endpoint, "http://s3:1");
  options = Resolve({{"profile", "two"}, {"endpoint", "http://o:1"}, {"region", "r0"}});
  EXPECT_EQ(options.access_key_id, "T");
  EXPECT_EQ(options.region, "r0");
  EXPECT_EQ(options.endpoint, "http://o:1");
}

TEST_F(OptionsTest, NeverPairsAKeyWithAnothersSecret) {
  environment_["AWS_ACCESS_KEY_ID"] = "E";
  environment_["AWS_SECRET_ACCESS_KEY"] = "Es";
  EXPECT_EQ(Resolve({{"access-key-id", "D"}}).secret_access_key.Reveal(), "Ds");
  EXPECT_EQ(Resolve({{"access-key-id", "X"}}).secret_access_key.Reveal(), "");
}

TEST_F(OptionsTest, TakesNoCredentialsWhenAnonymous) {
  const UpstreamOptions options = Resolve({{"anonymous", "true"}});
  EXPECT_TRUE(options.anonymous);
  EXPECT_EQ(options.access_key_id, "");
}

TEST_F(OptionsTest, TakesFluidsNames) {
  const UpstreamOptions options = Resolve({{"fs.s3a.endpoint", "s3.example.com"},
                                           {"aws.accessKeyId", "F"},
                                           {"aws.secretKey", "Fs"},
                                           {"alluxio.underfs.s3.disable.dns.buckets", "true"}});
  EXPECT_EQ(options.endpoint, "https://s3.example.com");
  EXPECT_EQ(options.access_key_id, "F");
  EXPECT_EQ(options.secret_access_key.Reveal(), "Fs");
  EXPECT_EQ(options.path_style, true);
}

TEST_F(OptionsTest, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(Refusal({{"endpiont", "x"}}).find("option \"endpiont\": unknown; known are "),
            std::string::npos);
  EXPECT_NE(Refusal({{"path-style", "yes"}}).find("write true or false"), std::string::npos);
  EXPECT_NE(Refusal({{"max-connections", "0"}}).find("from 1 to"), std::string::npos);
  EXPECT_NE(Refusal({{"endpoint", "h:9000"}}).find("write http://HOST:PORT"), std::string::npos);
  EXPECT_NE(Refusal({{"region", "a"}, {"fs.s3.region", "b"}}).find("given twice"),
            std::string::npos);
}

}  // namespace
}  // namespace forebay
