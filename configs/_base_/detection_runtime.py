# What every detector adds to mmdet's own config; nothing here changes results.
custom_imports = dict(imports=['mmum'], allow_failed_imports=False)
