/* Chat templates: which are known, and what becomes of a question. */
#include "verify-run/chat.h"
#include "verify-run/chatshape.h"

#include "base/file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

/*
 * Templates as they are published, in JSON's writing: NL is a line end between
 * tags or in a string, ESC one that the template writes as \n.
 */
#define NL "\\n"
#define ESC "\\\\n"
#define EACH "{% for message in messages %}"
#define ROLE(name) "message['role'] == '" name "'"
#define PROMPT "{% if add_generation_prompt %}"
#define ZEPHYR_TURN(word, name)                                                \
    "{% " word " " ROLE(name) " %}" NL "{{ '<|" name "|>" ESC                  \
                              "' + message['content'] + eos_token }}" NL
#define ZEPHYR                                                                 \
    EACH NL ZEPHYR_TURN("if", "user") ZEPHYR_TURN("elif", "system")            \
        ZEPHYR_TURN("elif",                                                    \
            "assistant") "{% endif %}" NL                                      \
                         "{% if loop.last and add_generation_prompt %}" NL     \
                         "{{ '<|assistant|>' }}" NL "{% endif %}" NL           \
                         "{% endfor %}"
#define CHATML_BODY                                                            \
    "{{'<|im_start|>' + message['role'] + '" ESC                               \
    "' + message['content'] + '<|im_end|>' + '" ESC "'}}{% endfor %}"
#define CHATML_END PROMPT "{{ '<|im_start|>assistant" ESC "' }}{% endif %}"
#define CHATML EACH CHATML_BODY CHATML_END
#define LLAMA3_OF(eol)                                                         \
    "{% set loop_messages = messages %}{% for message in loop_messages %}"     \
    "{% set content = '<|start_header_id|>' + message['role'] + "              \
    "'<|end_header_id|>" eol eol "'+ message['content'] | trim + "             \
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}"                                 \
    "{% set content = bos_token + content %}{% endif %}{{ content }}"          \
    "{% endfor %}" PROMPT                                                      \
    "{{ '<|start_header_id|>assistant<|end_header_id|>" eol eol                \
    "' }}{% endif %}"
#define LLAMA3 LLAMA3_OF(NL)
#define LLAMA2_OF(gap, first, strip)                                           \
    "{% if messages[0]['role'] == 'system' %}" gap                             \
    "{% set loop_messages = messages[1:] %}"                                   \
    "{% set system_message = messages[0]['content'] %}{% else %}"              \
    "{% set loop_messages = messages %}" first "{% endif %}"                   \
    "{% for message in loop_messages %}" gap "{% if (" ROLE(                   \
        "user") ") != (loop.index0 % 2 == 0) %}"                               \
                "{{ raise_exception('roles must alternate') }}{% endif %}"     \
                "{% if loop.index0 == 0 and system_message != false %}"        \
                "{% set content = '<<SYS>>" ESC "' + system_message + '" ESC   \
                "<</SYS>>" ESC ESC "' + message['content'] %}{% else %}"       \
                "{% set content = message['content'] %}{% endif %}{% "         \
                "if " ROLE(                                                    \
                    "user") " %}" gap                                          \
                            "{{ bos_token + '[INST] ' + content" strip         \
                            " + ' [/INST]' }}"                                 \
                            "{% elif " ROLE(                                   \
                                "assistant") " %}{{ ' '  + content" strip      \
                                             " + ' ' + eos_token }}{% endif "  \
                                             "%}"                              \
                                             "{% endfor %}"
#define LLAMA2_SYSTEM "{% set system_message = false %}"
#define LLAMA2 LLAMA2_OF("", LLAMA2_SYSTEM, ".strip()")

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
    asks(T(LLAMA3_OF(ESC)), NULL,
        "<|begin_of_text|>" HEAD("user") "Why?<|eot_id|>" HEAD("assistant"));
    asks(T(LLAMA2), NULL, "<s>[INST] Why? [/INST]");
    asks(T(LLAMA2), "S", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n Why? [/INST]");
    asks(T(LLAMA2_OF("", LLAMA2_SYSTEM, " | trim")), NULL,
        "<s>[INST] Why? [/INST]");
    asks("\"chat_template\":[{\"name\":\"rag\",\"template\":\"x\"},"
         "{\"name\":\"default\",\"template\":\"" CHATML "\"}]",
        NULL, "<|im_start|>user\n Why? <|im_end|>\n<|im_start|>assistant\n");
}

static void refuses(const char *name, const char *template)
{
    struct buf members AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    struct chat c;

    buf_printf(&members, T("%s"), template);
    config(at("m"), members.p);
    ok(chat_find(&c, at("m"), CHAT_AUTO, &e) != 0 &&
            e.kind == ERR_UNSUPPORTED && strstr(e.msg, "none of those") != NULL,
        "%s is refused", name);
}

/* As other models are asked; each is near to one that is known. */
static void others(void)
{
    refuses("Mistral's",
        "{{ bos_token }}" EACH "{% if " ROLE(
            "user") " %}{{ '[INST] ' + "
                    "message['content'] + ' [/INST]' }}{% elif " ROLE(
                        "assistant") " %}{{ message['content'] + eos_token}}{% "
                                     "endif %}{% endfor %}");
    refuses("Gemma's",
        "{{ bos_token }}" EACH "{{ '<start_of_turn>' + role + '" ESC
        "' + message['content'] | trim + '<end_of_turn>" ESC
        "' }}{% endfor %}" PROMPT "{{'<start_of_turn>model" ESC
        "'}}{% endif %}");
    refuses("Phi-3's",
        "{{ bos_token }}" EACH
        "{% if " ROLE("user") " %}{{'<|user|>' + '" ESC
                              "' + message['content'] + '<|end|>' + '" ESC
                              "' + '<|assistant|>' + '" ESC "'}}{% elif " ROLE(
                                  "assistant") " %}{{message['content'] + "
                                               "'<|end|>' + '" ESC
                                               "'}}{% endif %}{% endfor %}");
    refuses("Qwen2's, which has a system turn of its own",
        EACH "{% if loop.first and messages[0]['role'] != 'system' %}"
             "{{ '<|im_start|>system" ESC "You are helpful<|im_end|>" ESC
             "' }}{% endif %}" CHATML_BODY CHATML_END);
    refuses("Vicuna's",
        EACH "{% if " ROLE("user") " %}{{'USER: ' + message['content'] + ' '}}"
                                   "{% else %}{{'ASSISTANT: ' + "
                                   "message['content'] + eos_token}}"
                                   "{% endif %}{% endfor %}" PROMPT
                                   "{{'ASSISTANT:'}}{% endif %}");
    refuses("Command R's",
        "{{ bos_token }}" EACH "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + "
        "content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}");
    refuses("one that writes white space between the turns",
        LLAMA2_OF(NL "  ", LLAMA2_SYSTEM, ".strip()") NL);
    refuses("one with a system turn in another language",
        LLAMA2_OF("",
            "{% elif true == true %}{% set system_message = 'Vous "
            "etes' %}{% else %}" LLAMA2_SYSTEM,
            ".strip()"));
    refuses("Zephyr's turns with another end", EACH NL
        "{{ '<|user|>" ESC "' + message['content'] + '<|endoftext|>' }}" NL
        "{% endfor %}");
    refuses("text in front of ChatML", "Hello " CHATML);
    refuses("text in front of Llama 3's", "Hello " LLAMA3);
    refuses("a comment that does not end", CHATML "{# ");
    refuses("one more output", CHATML "{{ ' ' }}");
    refuses("the words of Llama 3.1 and no more",
        LLAMA3 DATES " 26 Jul 2024 {% set system_message = '' %}");
}

static void unknown(void)
{
    struct err e = ERR_INIT;
    struct chat c;

    asks("", NULL, "! : the model has no chat template");
    refuses("a template that says nothing", "{{ messages }}");
    refuses("one with tools", CHATML "{% if tools %}");
    refuses("one with words of its own", LLAMA3 "You are");
    ok(chat_find(&c, at("m"), CHAT_AUTO, &e) != 0 &&
            e.kind == ERR_UNSUPPORTED && strstr(e.hint, "--chat-format"),
        "the hint says what to do");
    err_clear(&e);
    ok(chat_find(&c, at("m"), CHAT_CHATML, &e) == 0 && c.format == CHAT_CHATML,
        "unless the form is named");
    ok(chat_find(&c, at("m"), CHAT_LLAMA31, &e) == 0, "or another");
}

static void dated(void)
{
    struct buf got AUTO(buf_free) = BUF_INIT(1 << 16);
    const struct chat c = { .format = CHAT_LLAMA31 };

    chat_render(&c, NULL, " Why? ", &got);
    is_str(got.p,
        "<|begin_of_text|>" HEAD("system") DATES
        "\nToday Date: 26 Jul 2024\n\n<|eot_id|>" HEAD(
            "user") "Why?<|eot_id|>" HEAD("assistant"),
        "Llama 3.1 is told the date");
}

/* What a template is made of. */
static void shape(const char *text, unsigned statements, unsigned outputs,
    unsigned lines, bool other)
{
    struct chatshape got = chatshape_of(str_of(text));
    char name[100];

    err_escape(name, sizeof(name), text);
    ok(got.statements == statements && got.outputs == outputs &&
            got.lines == lines && got.other == other,
        "'%s': %u statements, %u outputs, %u lines, %d", name, got.statements,
        got.outputs, got.lines, got.other);
}

static void shapes(void)
{
    shape("", 0, 0, 0, false);
    shape("\n", 0, 0, 0, false);
    shape("x", 0, 0, 0, true);
    shape("{", 0, 0, 0, true);
    shape("{{ a }}{% b %}{# c #}", 1, 1, 0, false);
    shape("{{ '}}' }}{{ \"%}\\\"}}\" }}", 0, 2, 0, false);
    shape("{{ '}}", 0, 0, 0, true);
    shape("{{ a }", 0, 0, 0, true);
    shape("{%", 0, 0, 0, true);
    shape("{% a %}\n  {% b %}\n", 2, 0, 0, false);
    shape("  {% a %}", 1, 0, 0, false);
    shape("{% a %}\n\n{% b %}", 2, 0, 0, true);
    shape("{% a %}  {% b %}", 2, 0, 0, true);
    shape("{% a %}\n  {{ b }}", 1, 1, 0, true);
    shape("{% a %}\n  {{- b -}}\n  {{ c }}", 1, 2, 0, false);
    shape("{{ a }}\n{{ b }}\n{% c %}\n", 1, 2, 2, false);
    shape("{{ a }}\n", 0, 1, 0, false);
    shape("{{-}}x", 0, 1, 0, true);
}

/* The file beside the config wins over what the config holds. */
static void template_file(void)
{
    struct err e = ERR_INIT;
    const char text[] = "{% for message in messages %}"
                        "{{'<|im_start|>' + message['role'] + '\n' + "
                        "message['content'] + '<|im_end|>' + '\n'}}"
                        "{% endfor %}{{ '<|im_start|>assistant\n' }}";
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
    dated();
    unknown();
    others();
    shapes();
    template_file();
    scratch_close();
    return done();
}
