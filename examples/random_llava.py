"""A LLaVA of random weights as a Hugging Face folder, to try the commands without a download:
`python examples/random_llava.py FOLDER [WIDTH]`. It has the layout of the real ones and knows nothing. Needs the extra
`hf`."""

import string
import sys

import tokenizers
import torch
import transformers as hf

WORDS = [*string.ascii_lowercase, *string.digits, *"?!.,:'-\n ", "<image>", "<s>", "</s>", "<pad>", "<unk>"]
CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def processor(size: int, patch: int) -> hf.LlavaProcessor:
    letters = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    letters.normalizer = tokenizers.normalizers.Lowercase()
    letters.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    letters.decoder = tokenizers.decoders.Fuse()
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=letters, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    return hf.LlavaProcessor(
        images, tokenizer, patch_size=patch, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    )  # fmt: skip


def model(width: int, size: int, patch: int) -> hf.LlavaForConditionalGeneration:
    shape = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**shape, image_size=size, patch_size=patch),
        text_config=hf.LlamaConfig(
            **shape, vocab_size=len(WORDS), num_key_value_heads=4, bos_token_id=WORDS.index("<s>"),
            eos_token_id=WORDS.index("</s>"), pad_token_id=WORDS.index("<pad>"),
        ),
        image_token_index=WORDS.index("<image>"),
    )  # fmt: skip
    torch.manual_seed(0)
    return hf.LlavaForConditionalGeneration(config).eval()


if __name__ == "__main__":
    folder, width = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 128
    model(width, size=112, patch=14).save_pretrained(folder)
    processor(size=112, patch=14).save_pretrained(folder)
    print(f"wrote {folder}")
