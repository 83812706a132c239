/* Chat templates: which are known, and what becomes of a question. */
#include "verify-run/chat.h"

#include "base/file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define ZEPHYR                                                                 \
    "{% for message in messages %}\\n{% if message['role'] == 'user' %}\\n"    \
    "{{ '<|user|>\\n' + message['content'] + eos_token }}\\n{% endif %}\\n"    \
    "{{ '<|assistant|>' }}\\n{% endfor %}"
#define CHATML                                                                 \
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' " \
    "+ message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"                \
    "{{ '<|im_start|>assistant\\n' }}"
#define LLAMA3                                                                 \
    "{% set content = '<|start_header_id|>' + message['role'] + "              \
    "'<|end_header_id|>' + message['content'] | trim + '<|eot_id|>' %}"        \
    "{% set content = bos_token + content %}"
#define LLAMA2                                                                 \
    "{% set content = '<<SYS>>' + system_message %}{{ bos_token + '[INST] ' "  \
    "+ content.strip() + ' [/INST]' }}"

static void config(const char *folder, const char *members)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    char path[PATH_MAX];

    mkdir(folder, 0755);
    snprintf(path, sizeof(path), "%s/tokenizer_config.json", folder);
    buf_printf(&text, "{%s}", members);
    ok(file_put(path, text.p, text.len, 0644, &e) == 0, "a config %s", e.msg);
}

static void asks(const char *members, const char *system, const char *want)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    char name[100];
    struct chat c;

    err_escape(name, sizeof(name), want);
    config(at("m"), members);
    if (chat_find(&c, at("m"), CHAT_AUTO, &e) != 0)
        buf_printf(&got, "! %s", strchr(e.msg, ':'));
    else
        chat_render(&c, system, " Why? ", &got);
    is_str(got.p, want, name);
}

#define T(text) "\"chat_template\":\"" text "\""
#define DATES "Cutting Knowledge Date: December 2023"
#define HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static void known(void)
{
    asks(T(ZEPHYR) ",\"eos_token\":\"</s>\"", NULL,
        "<|user|>\n Why? </s>\n<|assistant|>\n");
    asks(T(ZEPHYR) ",\"eos_token\":{\"content\":\"<end>\"}", "Be brief.",
        "<|system|>\nBe brief.<end>\n<|user|>\n Why? <end>\n<|assistant|>\n");
    asks(T(CHATML), "S",
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n Why? <|im_end|>\n"
        "<|im_start|>assistant\n");
    asks(T(LLAMA3), NULL,
        "<|begin_of_text|>" HEAD("user") "Why?<|eot_id|>" HEAD("assistant"));
    asks(T(LLAMA3) ",\"bos_token\":\"<b>\"", "S ",
        "<b>" HEAD("system") "S<|eot_id|>" HEAD("user") "Why?<|eot_id|>" HEAD(
            "assistant"));
    asks(T(LLAMA3 DATES "26 Jul 2024"), NULL,
        "<|begin_of_text|>" HEAD("system") DATES
        "\nToday Date: 26 Jul 2024\n\n<|eot_id|>" HEAD(
            "user") "Why?<|eot_id|>" HEAD("assistant"));
    asks(T(LLAMA2), NULL, "<s>[INST] Why? [/INST]");
    asks(T(LLAMA2), "S", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n Why? [/INST]");
    asks("\"chat_template\":[{\"name\":\"rag\",\"template\":\"x\"},"
         "{\"name\":\"default\",\"template\":\"" CHATML "\"}]",
        NULL, "<|im_start|>user\n Why? <|im_end|>\n<|im_start|>assistant\n");
}

static void unknown(void)
{
    struct err e = ERR_INIT;
    struct chat c;

    asks("", NULL, "! : the model has no chat template");
    asks(T("{{ messages }}"), NULL,
        "! : its chat template is none of those that this program knows");
    asks(T(CHATML "{% if tools %}"), NULL,
        "! : its chat template is none of those that this program knows");
    asks(T(LLAMA3 "You are"), NULL,
        "! : its chat template is none of those that this program knows");
    ok(chat_find(&c, at("m"), CHAT_AUTO, &e) != 0 &&
            e.kind == ERR_UNSUPPORTED && strstr(e.hint, "--chat-format"),
        "the hint says what to do");
    err_clear(&e);
    ok(chat_find(&c, at("m"), CHAT_CHATML, &e) == 0 && c.format == CHAT_CHATML,
        "unless the form is named");
}

/* The file beside the config wins over what the config holds. */
static void template_file(void)
{
    struct err e = ERR_INIT;
    const char text[] = "'<|im_start|>' + message['role'] + '\n' + "
                        "message['content'] + '<|im_end|>' "
                        "<|im_start|>assistant";
    struct chat c;

    config(at("f"), T("{{ other }}"));
    ok(file_put(at("f/chat_template.jinja"), text, sizeof(text) - 1, 0644,
           &e) == 0 &&
            chat_find(&c, at("f"), CHAT_AUTO, &e) == 0 &&
            c.format == CHAT_CHATML,
        "chat_template.jinja is looked at first");
}

int main(void)
{
    scratch_open();
    known();
    unknown();
    template_file();
    scratch_close();
    return done();
}
